"""Data sets named by their file, through the loaders and the evaluator."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from san.checks import check_config, check_test_datasets
from san.config import load_config
from san.data import build_test_loader, build_train_loader
from san.data.build import get_records
from san.data.dataset_mapper import TrainDatasetMapper
from san.data.datasets import load_labels
from san.data.tasks import metadata_of
from san.errors import UserError
from san.evaluation import SemSegEvaluator
from tests.own_data import CLASSES, COLORS, write_photos, write_yaml


@pytest.fixture
def name(tmp_path):
    """Photos with colored masks; black does not count."""
    write_photos(tmp_path, 4, ids=COLORS, ignored=(0, 0, 0))
    palette = {name: list(color) for name, color in zip(CLASSES, COLORS, strict=True)}
    return write_yaml(tmp_path, palette=palette, ignore_color="#000000")


def config(*opts):
    return load_config("configs/quick/san_tiny.yaml", [*map(str, opts)])


def test_training_crops_have_the_classes(name):
    cfg = config("DATASETS.TRAIN", f"('{name}',)", "DATALOADER.NUM_WORKERS", 1)
    batch = next(iter(build_train_loader(cfg)))
    for item in batch:
        classes = item["instances"].gt_classes
        assert len(classes) and set(classes.tolist()) <= set(range(4))
        masks = item["instances"].gt_masks
        assert masks.any(-1).any(-1).all() and int(masks.sum(0).max()) == 1


def test_a_process_that_shares_no_memory(name):
    """It registers the file anew, and its masks are the same."""
    mapper = TrainDatasetMapper(augmentations=[], pad_size=0)
    record = get_records([name], "DATASETS.TRAIN")[0]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        theirs = pool.submit(mapper, record).result(timeout=200)["instances"]
    ours = mapper(record)["instances"]
    assert torch.equal(ours.gt_classes, theirs.gt_classes)
    assert torch.equal(ours.gt_masks, theirs.gt_masks)


def test_evaluation(name, tmp_path):
    """The truth scores 100, whatever is predicted where pixels do not count."""
    evaluator = SemSegEvaluator(name, tmp_path / "out")
    for batch in build_test_loader(config(), name):
        for record in batch:
            labels = load_labels(record, metadata_of(name))
            labels[labels == 255] = 0
            evaluator.process([record], [{"label_map": torch.from_numpy(labels)}])
    assert evaluator.evaluate()["sem_seg"]["mIoU"] == 100
    report = json.loads((tmp_path / "out" / "sem_seg_evaluation.json").read_text())
    assert [c["name"] for c in report["classes"]] == list(CLASSES)


def test_number_of_classes(name):
    cfg = config("DATASETS.TRAIN", f"('{name}',)")
    with pytest.raises(UserError, match=r"NUM_CLASSES is 171, .*own.yaml' .*has 4 classes; set"):
        check_config(cfg)
    check_config(config("DATASETS.TRAIN", f"('{name}',)", "MODEL.SAN.NUM_CLASSES", 4))


def test_reports_that_would_share_a_folder(name, tmp_path):
    write_photos(tmp_path / "other", 1)
    other = write_yaml(tmp_path / "other")
    cfg = config("DATASETS.TEST", (name, other))
    with pytest.raises(UserError, match="would share the folder 'own'; rename one of the files"):
        check_test_datasets(cfg)
    check_test_datasets(config("DATASETS.TEST", (other,)))
