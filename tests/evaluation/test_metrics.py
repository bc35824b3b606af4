"""The confusion matrix and its metrics on counts done by hand."""

import math

import numpy as np
import pytest

from san.evaluation.metrics import seen_and_unseen, segmentation_metrics


def test_metrics_by_hand():
    # class 0: 4 pixels, 2 right, 1 called class 1, 1 called none; class 1: 6 pixels, all right
    matrix = np.array([[2, 0, 0, 5], [1, 6, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    overall, iou, acc = segmentation_metrics(matrix)
    assert iou[:2] == pytest.approx([100 * 2 / 4, 100 * 6 / 7]) and math.isnan(iou[2])
    assert acc[:2] == pytest.approx([50, 100]) and math.isnan(acc[2])
    assert overall == pytest.approx({
        "mIoU": 100 * (2 / 4 + 6 / 7) / 2,
        "fwIoU": 100 * (2 / 4 * 0.4 + 6 / 7 * 0.6),
        "mACC": 75,
        "pACC": 80,
    })  # fmt: skip


def test_class_predicted_but_absent_is_left_out():
    overall, iou, _ = segmentation_metrics(np.array([[3, 0, 0], [1, 0, 0], [0, 0, 0]]))
    assert overall["mIoU"] == pytest.approx(75) and math.isnan(iou[1])


def test_nothing_labeled():
    overall, iou, acc = segmentation_metrics(np.zeros((3, 3), dtype=np.int64))
    assert all(math.isnan(value) for value in [*overall.values(), *iou, *acc])


def test_seen_and_unseen_classes():
    iou = np.array([60.0, 40.0, 20.0, np.nan])
    metrics = seen_and_unseen(iou, np.array([True, True, False, False]))
    assert metrics == {"mIoU_seen": 50.0, "mIoU_unseen": 20.0, "mIoU_harmonic": 2 * 1000 / 70}
    without_background = seen_and_unseen(iou, np.array([-1, 1, 0, 0]))
    assert without_background["mIoU_seen"] == 40.0 and without_background["mIoU_unseen"] == 20.0
    none_unseen = seen_and_unseen(iou, np.ones(4, dtype=bool))
    assert none_unseen["mIoU_seen"] == 40.0 and np.isnan(none_unseen["mIoU_unseen"])
