"""Recalls against counts by hand: points on a circle, the nearest is the most similar."""

import json
import math

import pytest
import torch
from detectron2.utils import comm

from san.evaluation import RetrievalEvaluator


def point(degrees):
    angle = math.radians(degrees)
    return torch.tensor([math.cos(angle), math.sin(angle)])


def feed(evaluator, *images):
    """One image per (content, its angle, {caption: its angle})."""
    for content, angle, captions in images:
        output = {
            "image_embed": point(angle),
            "caption_embeds": torch.stack([point(a) for a in captions.values()]),
        }
        evaluator.process([{"content": content, "captions": list(captions)}], [output])


# By image, nearest caption: a (0, right), c at 40 for 31 (wrong), c (90, right), a (9, right).
# By caption, nearest image: 0 a, 9 a, 40 -> 31 b (wrong), 88 c, 170 -> c (wrong, it is of b).
IMAGES = [
    ("a", 0, {"one": 1, "two": 9}),
    ("b", 31, {"three": 170}),
    ("c", 90, {"four": 40, "five": 88}),
    ("a", 8, {"two": 9}),
]


def test_recalls(tmp_path):
    evaluator = RetrievalEvaluator("own", tmp_path)
    feed(evaluator, *IMAGES)
    metrics = evaluator.evaluate()["retrieval"]
    assert metrics == {
        "image_to_text_R@1": 75.0, "image_to_text_R@5": 100.0,
        "text_to_image_R@1": 60.0, "text_to_image_R@5": 100.0,
    }  # fmt: skip
    report = json.loads((tmp_path / "retrieval_evaluation.json").read_text())
    assert report == {"dataset": "own", "images": 4, "captions": 5, "metrics": metrics}
    table = (tmp_path / "retrieval_evaluation.md").read_text()
    assert "| own | 75.00 | 100.00 | 60.00 | 100.00 |" in table and "4 images and 5" in table


def test_recall_at_five():
    """The right caption is the sixth for one image, the fifth for the other."""
    evaluator = RetrievalEvaluator("own")
    near = {f"near {i}": i for i in range(5)}
    feed(evaluator, ("a", 0, near), ("b", 0, {"far": 20}), ("c", 177, {"last": 100}))
    metrics = evaluator.evaluate()["retrieval"]
    assert metrics["image_to_text_R@1"] == pytest.approx(200 / 3)
    assert metrics["image_to_text_R@5"] == pytest.approx(200 / 3)
    evaluator.reset()
    del near["near 4"]
    feed(evaluator, ("a", 0, near), ("b", 0, {"far": 20}))
    assert evaluator.evaluate()["retrieval"]["image_to_text_R@5"] == 100


def test_sums_over_processes(monkeypatch):
    parts = [RetrievalEvaluator("own"), RetrievalEvaluator("own")]
    feed(parts[0], *IMAGES[:1])
    feed(parts[1], *IMAGES[1:])
    monkeypatch.setattr(comm, "gather", lambda own: [(p._images, p._captions) for p in parts])
    assert parts[0].evaluate()["retrieval"]["text_to_image_R@1"] == 60
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert parts[1].evaluate() is None
