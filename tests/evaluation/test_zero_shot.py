"""Zero-shot accuracies against counts by hand."""

import json
import math

import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.utils import comm

from san.errors import UserError
from san.evaluation import ZeroShotEvaluator

NAMES = [f"class {i}" for i in range(7)]
SEEN = [True, True, True, True, False, False, False]


@pytest.fixture
def dataset():
    MetadataCatalog.get("crops").set(thing_classes=NAMES, seen=SEEN)
    yield "crops"
    MetadataCatalog.remove("crops")


def feed(evaluator, *labels_and_ranks):
    """One image per (class, rank): its own class is at this place, 0 the best, of the scores."""
    for label, rank in labels_and_ranks:
        others = [c for c in range(len(NAMES)) if c != label]
        order = [*others[:rank], label, *others[rank:]]
        logits = torch.empty(len(NAMES))
        logits[order] = torch.arange(len(NAMES), 0, -1.0)
        record = {"file_name": "a.jpg", "class": label}
        evaluator.process([record], [{"class_logits": logits}])


# seen: 3 of 4 images right; unseen: 1 of 4; in the first five: 6 of 8
IMAGES = [(0, 0), (0, 0), (1, 0), (3, 4), (4, 0), (4, 1), (5, 5), (6, 6)]


def test_accuracies(dataset, tmp_path):
    evaluator = ZeroShotEvaluator(dataset, tmp_path)
    feed(evaluator, *IMAGES)
    metrics = evaluator.evaluate()["zero_shot"]
    assert metrics == {
        "top1": 50.0, "top5": 75.0, "top1_seen": 75.0, "top1_unseen": 25.0,
        "top1_harmonic": 37.5,
    }  # fmt: skip
    report = json.loads((tmp_path / "zero_shot_evaluation.json").read_text())
    assert (report["dataset"], report["images"], report["metrics"]) == ("crops", 8, metrics)
    assert report["classes"][4] == {
        "name": "class 4", "top1": 50.0, "top5": 100.0, "images": 2, "seen": False,
    }  # fmt: skip
    assert report["classes"][2]["top1"] is None  # no image
    table = (tmp_path / "zero_shot_evaluation.md").read_text()
    assert "| crops | 50.00 | 75.00 | 75.00 | 25.00 | 37.50 |" in table
    assert "| class 2 | - | - | 0 |" in table
    evaluator.reset()
    feed(evaluator, (6, 0))
    assert evaluator.evaluate()["zero_shot"]["top1"] == 100


def test_without_groups():
    MetadataCatalog.get("plain_crops").set(thing_classes=NAMES)
    evaluator = ZeroShotEvaluator("plain_crops")
    MetadataCatalog.remove("plain_crops")
    feed(evaluator, *IMAGES)
    metrics = evaluator.evaluate()["zero_shot"]
    assert metrics["top1"] == 50
    assert all(math.isnan(metrics[f"top1_{g}"]) for g in ("seen", "unseen", "harmonic"))


def test_harmonic_mean_of_nothing_right(dataset):
    evaluator = ZeroShotEvaluator(dataset)
    feed(evaluator, (0, 1), (5, 1))
    assert evaluator.evaluate()["zero_shot"]["top1_harmonic"] == 0


def test_sums_over_processes(dataset, monkeypatch):
    parts = [ZeroShotEvaluator(dataset), ZeroShotEvaluator(dataset)]
    feed(parts[0], *IMAGES[:3])
    feed(parts[1], *IMAGES[3:])
    monkeypatch.setattr(comm, "gather", lambda own: [part._counts for part in parts])
    assert parts[0].evaluate()["zero_shot"]["top1"] == 50
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert parts[1].evaluate() is None


def test_fewer_than_five_classes():
    MetadataCatalog.get("two_crops").set(thing_classes=["a", "b"])
    evaluator = ZeroShotEvaluator("two_crops")
    MetadataCatalog.remove("two_crops")
    evaluator.process([{"class": 1}], [{"class_logits": torch.tensor([2.0, 1.0])}])
    metrics = evaluator.evaluate()["zero_shot"]
    assert (metrics["top1"], metrics["top5"]) == (0, 100)


def test_class_without_a_name(dataset):
    with pytest.raises(UserError, match=r"a\.jpg: its class is 7, but .*'crops'.* 0 to 6"):
        record = {"file_name": "a.jpg", "class": 7}
        ZeroShotEvaluator(dataset).process([record], [{"class_logits": torch.zeros(7)}])


def test_groups_of_another_length(dataset):
    MetadataCatalog.get("short_crops").set(thing_classes=NAMES, seen=[True])
    with pytest.raises(UserError, match="'short_crops'.*'seen' has 1 entries for 7 class names"):
        ZeroShotEvaluator("short_crops")
    MetadataCatalog.remove("short_crops")
