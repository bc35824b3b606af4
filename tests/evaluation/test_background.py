"""The sweep over thresholds against evaluations with one threshold each."""

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.config import load_config
from san.data import build_test_loader
from san.errors import UserError
from san.evaluation import SemSegEvaluator
from san.evaluation.background import (
    THRESHOLDS,
    ThresholdSweep,
    foreground_vocabulary,
    sweep_thresholds,
)
from san.evaluation.metrics import segmentation_metrics
from tests.parity import build_filled

NAMES = ["grass", "background", "sky", "cat", "bus"]  # no bus is ever shown


def plain_miou(labels, shares, target, threshold, num_classes):
    """mIoU of one threshold, from one confusion matrix; background is the last class."""
    predicted = np.where(shares >= threshold, num_classes, labels)
    side = num_classes + 2
    cells = np.stack([predicted, np.where(target < 0, num_classes + 1, target)]).reshape(2, -1)
    matrix = np.zeros((side, side), np.int64)
    np.add.at(matrix, tuple(cells), 1)
    return segmentation_metrics(matrix)[0]["mIoU"]


def test_every_threshold_is_that_of_its_own_confusion_matrix():
    rng = np.random.default_rng(0)
    thresholds = np.array([0.1, 0.25, 0.5, 0.75], np.float32)
    shape = (2, 40, 50)  # two images
    labels = rng.integers(0, 3, shape)
    target = rng.integers(-1, 4, shape)
    shares = rng.choice([*thresholds, 0.0, 0.3, 0.99], shape).astype(np.float32)
    sweep = ThresholdSweep(3, thresholds)
    for image in zip(labels, shares, target, strict=True):
        sweep.add(*image)
    expected = [plain_miou(labels, shares, target, t, 3) for t in [*thresholds, np.inf]]
    np.testing.assert_allclose(sweep.miou(), expected, rtol=1e-12)
    assert len(set(np.round(expected, 6))) == 5


def test_nothing_to_tune_on():
    sweep = ThresholdSweep(3)
    sweep.add(np.zeros((2, 2), int), np.zeros((2, 2), np.float32), np.full((2, 2), -1))
    with pytest.raises(UserError, match="no labeled pixel"):
        sweep.miou()


@pytest.fixture
def own_set(tmp_path):
    """Two images with the labels 0 to 3 of five and some ignored pixels -> name."""
    records = []
    for i in range(2):
        rng = np.random.default_rng(i)
        labels = rng.choice([0, 1, 2, 3, 255], (6, 8)).repeat(8, 0).repeat(8, 1)
        image = rng.integers(0, 256, (48, 64, 3))
        paths = [str(tmp_path / f"{i}.{kind}.png") for kind in ("image", "labels")]
        for path, array in zip(paths, (image, labels), strict=True):
            Image.fromarray(array.astype(np.uint8)).save(path)
        records.append({"file_name": paths[0], "sem_seg_file_name": paths[1]})
    DatasetCatalog.register("own_val", lambda: records)
    MetadataCatalog.get("own_val").set(stuff_classes=NAMES, ignore_label=255)
    yield "own_val"
    DatasetCatalog.remove("own_val")
    MetadataCatalog.remove("own_val")


@pytest.fixture
def cfg():
    return load_config("quick/san_tiny.yaml", ["INPUT.MIN_SIZE_TEST", 64])


@pytest.fixture(scope="module")
def model():
    return build_filled("tiny")[0].eval()


def test_the_threshold_gives_that_figure_in_evaluation(cfg, own_set, model, tmp_path):
    """san vocabulary tune and train_net.py --eval-only agree."""
    vocabulary = foreground_vocabulary(cfg, own_set)
    assert vocabulary.names == ("grass", "sky", "cat", "bus") and vocabulary.ids == (0, 2, 3, 4)
    curve = sweep_thresholds(model, build_test_loader(cfg, own_set), vocabulary, own_set).miou()
    best = int(curve.argmax())
    assert curve.max() - curve.min() > 1 and 0 < best < len(THRESHOLDS)
    path = tmp_path / "words.yaml"
    for index in (best, best - 20, 0):
        path.write_text(
            "classes: [grass, {name: sky, id: 2}, {name: cat, id: 3}, {name: bus, id: 4}]\n"
            f"background_threshold: {THRESHOLDS[index]}"
        )
        cfg.TEST.VOCABULARY = str(path)
        evaluator = SemSegEvaluator(own_set)
        with torch.inference_mode():
            for batch in build_test_loader(cfg, own_set):
                evaluator.process(batch, model(batch))
        assert evaluator.evaluate()["sem_seg"]["mIoU"] == pytest.approx(curve[index], rel=1e-9)


def test_labels_that_are_no_id_are_background(cfg, own_set, tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("classes: [{name: a cat, id: 3}, {name: meadow, id: 0}]")
    vocabulary = foreground_vocabulary(cfg, own_set, path)
    assert vocabulary.ids == (3, 0) and vocabulary.background_threshold is None
    path.write_text("classes: [{name: a cat, id: 5}]")
    with pytest.raises(UserError, match="an id is 5, but the labels .* are 0 to 4"):
        foreground_vocabulary(cfg, own_set, path)


def test_a_data_set_without_background_is_refused(cfg, own_set):
    MetadataCatalog.get(own_set).stuff_classes[1] = "road"
    try:
        with pytest.raises(UserError, match="'own_val' has no class 'background'"):
            foreground_vocabulary(cfg, own_set)
    finally:
        MetadataCatalog.get(own_set).stuff_classes[1] = "background"
