"""What predictions.json says of a label map; the rest of the batch is tested in test_demo.py."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from san import Vocabulary
from san.batch import describe_classes

VOCABULARY = Vocabulary.from_words(["sky", "sea", "sand"])


def test_classes_are_described_largest_first():
    label_map = np.array([[-1, 2, 0], [2, 0, 2]], np.int32)
    scores = np.array([[0.9, 0.5, 0.25], [0.75, 0.5, 0.5]], np.float32)
    sand, sky = describe_classes(label_map, scores, VOCABULARY)
    for described in (sand, sky):
        mask = coco_mask.decode(described.pop("segmentation"))
        assert np.array_equal(mask, label_map == described["index"])
    assert sand == {
        **{"name": "sand", "index": 2, "id": 2, "area": 3, "share": 0.5},
        "score": pytest.approx(1.75 / 3, abs=1e-6),
    }
    assert (sky["name"], sky["area"], sky["score"]) == ("sky", 2, 0.375)


def test_classes_of_equal_size_keep_their_order():
    label_map = np.array([[1, 0]], np.int32)
    described = describe_classes(label_map, np.ones((1, 2), np.float32), VOCABULARY)
    assert [item["name"] for item in described] == ["sky", "sea"]


def test_nothing_is_described_where_all_is_none():
    label_map = np.full((2, 2), -1, np.int32)
    assert describe_classes(label_map, np.ones((2, 2), np.float32), VOCABULARY) == []
