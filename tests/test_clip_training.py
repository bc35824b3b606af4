"""CLIP's training by the trainer and by train_net.py: it learns, resumes, and runs on two."""

import json
import math
import shutil

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import launch

import train_net
from san.checkpoint import Checkpointer
from san.checks import check_config, check_test_datasets
from san.config import load_config
from san.engine import Trainer
from san.errors import UserError
from san.solver import parameter_rules
from tests.captions import CONFIG, WORDS, clip_config, clip_options, write_captions
from tests.test_engine import _train_on_two, read, train_recorded
from tests.training import assert_same_bits


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    return write_captions(tmp_path_factory.mktemp("captions") / "data")


@pytest.fixture
def build(captions, tmp_path):
    """Function: KEY, VALUE, ... -> a trainer on the captions that writes to tmp_path/out."""

    def build(*opts, output_dir="out", resume=False):
        trainer = Trainer(clip_config(captions, tmp_path / output_dir, *opts))
        trainer.resume_or_load(resume=resume)
        return trainer

    return build


def results(folder):
    return json.loads((folder / "inference" / "results.json").read_text())


def test_weight_decay_is_for_weights(build):
    """None for gains, biases, the [CLS] embedding and the temperature: all of one dimension."""
    trainer = build()
    rules = parameter_rules(trainer.cfg.SOLVER, trainer.model)
    assert all(rule.weight_decay == (0.1 if rule.parameter.ndim > 1 else 0) for rule in rules)
    assert sum(rule.parameter.numel() for rule in rules) == 2_920_705
    assert all(
        group["betas"] == (0.9, 0.98) and group["eps"] == 1e-6
        for group in trainer.optimizer.param_groups
    )


def test_learns_32_images_by_heart(build, captions, tmp_path):
    """Every image finds its caption and every caption its image after a few dozen steps."""
    build(
        *("SOLVER.MAX_ITER", 80, "SOLVER.IMS_PER_BATCH", 32, "SOLVER.BASE_LR", 2e-3),
        *("SOLVER.WARMUP_ITERS", 10, "DATASETS.TEST", f"('{captions}',)"),
        *("MODEL.SAN.CLIP_MODEL_NAME", "clip_tiny", "INPUT.CLIP_SIZES_TRAIN", "[]"),
    ).train()
    assert results(tmp_path / "out") == {
        str(captions): dict.fromkeys(
            ["image_to_text_R@1", "image_to_text_R@5", "text_to_image_R@1", "text_to_image_R@5"],
            100.0,
        )
    }
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.json").open()]
    metrics = {key: value for line in lines for key, value in line.items()}
    assert {"total_loss", "lr", "logit_scale", "retrieval/text_to_image_R@1"} <= metrics.keys()
    assert metrics["total_loss"] < 1 < math.log(32)  # of guessing


def test_resume_is_exact(build, tmp_path):
    """4 iterations equal 2 and, resumed, 2 more, in all bits, the exported weights included."""
    straight, resumed = tmp_path / "out", tmp_path / "resumed"
    build("SOLVER.CHECKPOINT_PERIOD", 2).train()
    resumed.mkdir()
    shutil.copy(straight / "model_0000001.pth", resumed)
    trainer = build(output_dir="resumed", resume=True)
    assert trainer.start_iter == 2
    trainer.train()
    assert_same_bits(read(resumed / "model_final.pth"), read(straight / "model_final.pth"))
    name = "clip.safetensors"
    assert (resumed / name).read_bytes() == (straight / name).read_bytes()


def test_temperature_is_bounded_before_it_is_saved(build, tmp_path):
    trainer = build("SOLVER.MAX_ITER", 1)
    with torch.no_grad():
        trainer.model.clip.logit_scale.fill_(6.0)
    trainer.train()
    saved = read(tmp_path / "out" / "model_final.pth")["model"]["clip.logit_scale"]
    assert saved.item() == pytest.approx(math.log(100))


@pytest.mark.parametrize("mosaic_sizes", ["[]", "[24, 40]"])
def test_two_processes_equal_one(build, tmp_path, mosaic_sizes):
    """The same global batches, with pairs of equal content across them, give the same losses.

    The second of three iterations is of mosaics, where there are any.
    """
    path = write_captions(tmp_path / "more", 40)  # eight contents twice
    weights = Checkpointer(build().model, str(tmp_path))
    weights.save("initial")
    opts = ("DATASETS.TRAIN", f"('{path}',)", "SOLVER.IMS_PER_BATCH", 16)
    opts += ("MODEL.WEIGHTS", tmp_path / "initial.pth", "SOLVER.MAX_ITER", 3)
    opts += ("INPUT.CLIP_MOSAIC_SIZES_TRAIN", mosaic_sizes)
    one = train_recorded(build(*opts))
    cfg = clip_config(path, tmp_path / "two", *opts)
    launch(_train_on_two, 2, dist_url="auto", args=(cfg, tmp_path / "losses.json"))
    two = json.loads((tmp_path / "losses.json").read_text())
    assert two == pytest.approx(one, rel=1e-5) and len(set(one)) == 3
    ours, theirs = (read(tmp_path / d / "model_final.pth")["model"] for d in ("two", "out"))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-4, msg=name)


@pytest.fixture
def crops(captions):
    """A registered set for zero-shot classification: the images of four words."""
    records = [
        {"file_name": str(captions.parent / f"images/{i:03}.png"), "class": i} for i in range(4)
    ]
    DatasetCatalog.register("tile_crops", lambda: records)
    MetadataCatalog.get("tile_crops").set(
        thing_classes=WORDS[:4],
        seen=[True, True, False, False],
        evaluator_type="zero_shot_classification",
    )
    yield "tile_crops"
    DatasetCatalog.remove("tile_crops")
    MetadataCatalog.remove("tile_crops")


def test_train_net(captions, crops, tmp_path, capsys):
    """Train, evaluate on both kinds of data, and evaluate the exported weights alone."""
    test_sets = ("DATASETS.TEST", f"('{captions}','{crops}')", "TEST.EVAL_PERIOD", "1")
    arguments = ["--config-file", CONFIG, *clip_options(captions, tmp_path / "out"), *test_sets]
    assert train_net.main([*arguments, "SOLVER.MAX_ITER", "2"]) == 0
    trained = results(tmp_path / "out")
    assert list(trained) == [str(captions), crops]
    assert trained[crops].keys() >= {"top1", "top1_harmonic"}
    for name in ("captions/retrieval", "tile_crops/zero_shot"):
        assert (tmp_path / "out" / "inference" / f"{name}_evaluation.md").is_file()
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text().splitlines()[-1])
    assert metrics[f"{crops}/zero_shot/top1"] == trained[crops]["top1"]
    weights = str(tmp_path / "out" / "clip.safetensors")
    arguments += ["MODEL.SAN.CLIP_PRETRAINED_NAME", weights, "OUTPUT_DIR", str(tmp_path / "eval")]
    assert train_net.main(["--eval-only", *arguments]) == 0
    assert results(tmp_path / "eval") == trained


@pytest.mark.parametrize(("opts", "message"), [
    (["INPUT.DATASET_MAPPER_NAME", "mask_former_semantic"],
     r"DATASET_MAPPER_NAME is 'mask_former_semantic'.*META_ARCHITECTURE 'CLIP'.*'clip_captions'"),
    (["MODEL.META_ARCHITECTURE", "SAN"], r"NAME is 'clip_captions'.* 'SAN': .*for it alone"),
])  # fmt: skip
def test_mapper_of_another_model(opts, message):
    with pytest.raises(UserError, match=message):
        check_config(load_config(CONFIG, opts))


def test_data_of_another_task(captions, crops):
    cfg = clip_config(captions, "unused", "DATASETS.TEST", f"('{captions}','{crops}')")
    check_test_datasets(cfg)
    cfg.MODEL.META_ARCHITECTURE = "SAN"
    with pytest.raises(
        UserError, match=r"captions.jsonl' is a data set of captioned images.*'SAN'"
    ):
        check_test_datasets(cfg)
    DatasetCatalog.register("own_scenes", lambda: [{"file_name": "", "sem_seg_file_name": ""}])
    MetadataCatalog.get("own_scenes").set(stuff_classes=["a"], ignore_label=255)
    cfg.MODEL.META_ARCHITECTURE, cfg.DATASETS.TEST = "CLIP", ("own_scenes",)
    with pytest.raises(UserError, match=r"'own_scenes' .*semantic.*'CLIP'.*zero-shot class.* and"):
        check_test_datasets(cfg)
    DatasetCatalog.remove("own_scenes")
    MetadataCatalog.remove("own_scenes")


def test_no_test_time_augmentation(captions):
    cfg = clip_config(captions, "unused", "TEST.AUG.ENABLED", True)
    with pytest.raises(UserError, match=r"TEST\.AUG\.ENABLED is True.*CLIP"):
        check_test_datasets(cfg)
