"""Loaders: the training stream is the same for any number of workers and processes."""

import multiprocessing
import pickle
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm

from san.data import build_test_loader, build_train_loader
from san.errors import UserError
from tests.miniatures import write_pascal_context


def take(loader, count):
    return list(islice(iter(loader), count))


def fingerprint(batches):
    """Everything in the batches that must agree, comparable with ==."""
    return [
        [
            (
                item["file_name"],
                item["seed"],
                item["meta"]["dataset_name"],
                item["image"].numpy().tobytes(),
                item["instances"].gt_classes.tolist(),
                item["instances"].gt_masks.numpy().tobytes(),
            )
            for item in batch
        ]
        for batch in batches
    ]


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_batches_do_not_depend_on_workers(cfg, coco_root, num_workers):
    expected = fingerprint(take(build_train_loader(cfg), 7))  # 14 items of 5 records: 3 epochs
    cfg.DATALOADER.NUM_WORKERS = num_workers
    assert fingerprint(take(build_train_loader(cfg), 7)) == expected


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resumes_at_any_iteration(cfg, coco_root, num_workers):
    expected = fingerprint(take(build_train_loader(cfg), 7))
    cfg.DATALOADER.NUM_WORKERS = num_workers
    loader = build_train_loader(cfg)
    for start_iter in (0, 3, 5):
        loader.start_iter = start_iter
        assert fingerprint(take(loader, 2)) == expected[start_iter : start_iter + 2]


def test_every_epoch_has_every_record_in_its_own_order(cfg, coco_root):
    names = [item["file_name"] for batch in take(build_train_loader(cfg), 10) for item in batch]
    epochs = [tuple(names[start : start + 5]) for start in range(0, 20, 5)]
    assert all(len(set(epoch)) == 5 for epoch in epochs)
    assert len(set(epochs)) > 1


def test_the_same_record_is_augmented_anew(cfg, coco_root):
    items = [item for batch in take(build_train_loader(cfg), 5) for item in batch]
    first = [item for item in items if item["file_name"] == items[0]["file_name"]]
    assert len(first) == 2
    assert not torch.equal(first[0]["image"], first[1]["image"])
    assert len({item["seed"] for item in items}) == 10


def test_seed_decides(cfg, coco_root):
    loader = build_train_loader(cfg)
    assert loader.seed == cfg.SEED == 3
    expected = fingerprint(take(loader, 3))
    loader.seed = 4
    assert fingerprint(take(loader, 3)) != expected
    loader.seed = 3
    assert fingerprint(take(loader, 3)) == expected


def test_negative_seed_is_drawn(cfg, coco_root):
    cfg.SEED = -1
    assert build_train_loader(cfg).seed != build_train_loader(cfg).seed


@pytest.mark.parametrize("num_workers", [0, 1])
def test_global_generators_are_left_alone(cfg, coco_root, num_workers):
    cfg.DATALOADER.NUM_WORKERS = num_workers

    def numbers(draw_batches):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        draw_batches()
        return random.random(), np.random.rand(), torch.rand(()).item()

    expected = numbers(lambda: None)
    train, test = build_train_loader(cfg), build_test_loader(cfg, cfg.DATASETS.TEST[0])
    assert numbers(lambda: take(train, 2)) == expected
    assert numbers(lambda: list(test)) == expected


def test_two_training_sets_keep_their_names(cfg, coco_root):
    write_pascal_context(coco_root, 2, split="train")
    cfg.DATASETS.TRAIN = ("coco_2017_train_stuff_sem_seg", "pcontext_sem_seg_train")
    cfg.SOLVER.IMS_PER_BATCH = 7  # one epoch
    (batch,) = take(build_train_loader(cfg), 1)
    folders = {"coco_2017_train_stuff_sem_seg": "coco", "pcontext_sem_seg_train": "pcontext"}
    for item in batch:
        assert folders[item["meta"]["dataset_name"]] in Path(item["file_name"]).parts
    assert len({item["meta"]["dataset_name"] for item in batch}) == 2


def evaluation_files(cfg):
    loader = build_test_loader(cfg, "coco_2017_test_stuff_sem_seg")
    return [item["file_name"] for batch in loader for item in batch]


def save_share(rank, cfg, folder):
    """What process ``rank`` of two sees, pickled to FOLDER/RANK."""
    torch.set_num_threads(1)  # OpenMP's threads do not outlive a fork
    dist.init_process_group("gloo", f"file://{folder}/init", world_size=2, rank=rank)
    comm.create_local_process_group(2)
    share = fingerprint(take(build_train_loader(cfg), 3)), evaluation_files(cfg)
    (folder / str(rank)).write_bytes(pickle.dumps(share))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_two_processes_share_the_batches_of_one(cfg, coco_root, num_workers):
    cfg.SOLVER.IMS_PER_BATCH = 4
    cfg.DATALOADER.NUM_WORKERS = num_workers
    batches, files = fingerprint(take(build_train_loader(cfg), 3)), evaluation_files(cfg)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=save_share, args=(rank, cfg, coco_root)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    shares = [pickle.loads((coco_root / str(rank)).read_bytes()) for rank in (0, 1)]
    for rank, (share, _) in enumerate(shares):
        assert share == [batch[rank::2] for batch in batches]
    assert shares[0][1] + shares[1][1] == files and len(files) == 3


def test_evaluation_loader(cfg, coco_root):
    loader = build_test_loader(cfg, "coco_2017_test_stuff_sem_seg")
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    names = [Path(item["file_name"]).name for (item,) in batches]
    assert names == sorted(names)
    for (item,) in batches:
        assert item["meta"] == {"dataset_name": "coco_2017_test_stuff_sem_seg"}
        assert Path(item["sem_seg_file_name"]).exists()
    cfg.SOLVER.TEST_IMS_PER_BATCH = 2
    assert [len(batch) for batch in build_test_loader(cfg, cfg.DATASETS.TEST[0])] == [2, 1]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_file_ends_in_one_plain_message(cfg, coco_root, num_workers):
    cfg.DATALOADER.NUM_WORKERS = num_workers
    for split in ("train2017", "val2017"):
        (coco_root / f"coco/{split}/000000000002.jpg").write_bytes(b"\xff\xd8 cut short")
    for loader in (build_train_loader(cfg), build_test_loader(cfg, cfg.DATASETS.TEST[0])):
        with pytest.raises(UserError) as error:
            take(loader, 3)
        assert str(error.value).startswith(str(coco_root))
        assert "000000000002.jpg" in str(error.value) and "Traceback" not in str(error.value)


def test_unknown_name_is_refused_with_the_nearest_one(cfg, coco_root):
    cfg.DATASETS.TRAIN = ("coco_2017_train_stuff_semseg",)
    with pytest.raises(
        UserError,
        match=r"DATASETS\.TRAIN: no data set 'coco_2017_train_stuff_semseg'.*"
        "did you mean 'coco_2017_train_stuff_sem_seg'",
    ):
        build_train_loader(cfg)
    with pytest.raises(UserError, match=r"DATASETS\.TEST: no data set 'cityscapes'"):
        build_test_loader(cfg, "cityscapes")


@pytest.fixture
def register():
    """Register a data set for one test: name, records, metadata."""
    names = []

    def add(name, records, **metadata):
        names.append(name)
        DatasetCatalog.register(name, lambda: records)
        MetadataCatalog.get(name).set(**metadata)

    yield add
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_own_data_set(cfg, coco_root, register):
    register(
        "own_sem_seg",
        DatasetCatalog.get("coco_2017_train_stuff_sem_seg"),
        stuff_classes=[f"word {index}" for index in range(171)],
        ignore_label=255,
    )
    cfg.DATASETS.TRAIN = ("own_sem_seg",)
    (batch,) = take(build_train_loader(cfg), 1)
    assert [item["meta"]["dataset_name"] for item in batch] == ["own_sem_seg"] * 2
    assert len(build_test_loader(cfg, "own_sem_seg")) == 5


@pytest.mark.parametrize(
    "records, metadata, problem",
    [
        ([], {"stuff_classes": ["a"], "ignore_label": 255}, "0 records"),
        ([{"file_name": "x.jpg"}], {"stuff_classes": ["a"], "ignore_label": 255}, "sem_seg_file"),
        (
            [{"file_name": "x.jpg", "sem_seg_file_name": "x.png"}],
            {"thing_classes": ["a"]},
            r"lacks \['stuff_classes', 'ignore_label'\]",
        ),
    ],
)
def test_data_set_of_another_task_is_refused(cfg, register, records, metadata, problem):
    register("own_detection", records, **metadata)
    with pytest.raises(UserError, match=f"'own_detection' is not one of semantic.*{problem}"):
        build_test_loader(cfg, "own_detection")


def test_no_training_set_is_refused(cfg):
    cfg.DATASETS.TRAIN = ()
    with pytest.raises(UserError, match=r"DATASETS\.TRAIN is empty"):
        build_train_loader(cfg)


def test_other_mapper_is_refused_by_name(cfg, coco_root):
    cfg.INPUT.DATASET_MAPPER_NAME = "coco_panoptic_lsj"
    with pytest.raises(UserError, match="is 'coco_panoptic_lsj'; it can be 'mask_.*', 'clip_capt"):
        build_train_loader(cfg)


def test_other_sampler_is_refused(cfg, coco_root):
    cfg.DATALOADER.SAMPLER_TRAIN = "RepeatFactorTrainingSampler"
    with pytest.raises(UserError, match="SAMPLER_TRAIN is 'RepeatFactorTrainingSampler'"):
        build_train_loader(cfg)


def test_batch_size_must_be_positive(cfg, coco_root):
    cfg.SOLVER.IMS_PER_BATCH = 0
    with pytest.raises(UserError, match=r"IMS_PER_BATCH is 0.*number of processes, 1"):
        build_train_loader(cfg)
