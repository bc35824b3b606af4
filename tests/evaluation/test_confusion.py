"""Pairs of predicted and true classes, counted by hand and by a dense table."""

import numpy as np
import pytest
import torch

from san.evaluation.confusion import argmax_classes, count_pairs


def test_pairs_by_hand():
    predicted = np.array([[0, 1, -1], [-3, 1, 0]], np.int32)  # negative: none
    target = np.array([[0, 1, 0], [255, 0, 255]], np.uint8)
    pairs = count_pairs(predicted, target).to_classes(2, ignore_label=255)
    matrix = np.zeros((3, 3), np.int64)
    pairs.add_to(matrix)
    assert matrix.tolist() == [[1, 0, 1], [1, 1, 0], [1, 0, 1]]
    pairs.add_to(matrix)
    assert matrix.sum() == 12
    counts = pairs.of_classes(2)
    assert counts.classes.tolist() == [0, 1]
    assert [c.tolist() for c in counts[1:]] == [[1, 1], [3, 1], [1, 2]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_pairs_of_many_classes(dtype):
    """Every type that label maps come in; sums of 8-bit labels must not wrap around."""
    rng = np.random.default_rng(0)
    num_classes = 250 if dtype == np.uint8 else 847
    target = rng.integers(0, num_classes + 1, (40, 50)).astype(dtype)
    predicted = np.where(rng.random(target.shape) < 0.5, target, rng.integers(0, num_classes))
    expected = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    np.add.at(expected, (predicted, target), 1)
    matrix = np.zeros_like(expected)
    pairs = count_pairs(predicted.astype(np.int32), target)
    pairs.add_to(matrix)
    np.testing.assert_array_equal(matrix, expected)

    kept = expected[:, :-1]  # without ignored pixels
    counts = pairs.of_classes(num_classes)
    sums = (np.diag(kept), kept.sum(0), kept[:-1].sum(1))
    for count, expected_sum in zip(counts[1:], sums, strict=True):
        np.testing.assert_array_equal(count, expected_sum[counts.classes])
        assert count.sum() == expected_sum.sum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_argmax_equals_torch(dtype):
    """Equal scores, which few distinct values make frequent, go to the first class."""
    scores = torch.randint(0, 5, (9, 17, 23)).to(dtype)
    labels = argmax_classes(scores)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, scores.argmax(0).numpy())


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (30, 40)])
def test_pairs_of_constant_label_maps(shape):
    pairs = count_pairs(np.full(shape, 846, np.int32), np.full(shape, 65535, np.uint16))
    assert [values.tolist() for values in pairs] == [[846], [65535], [shape[0] * shape[1]]]
