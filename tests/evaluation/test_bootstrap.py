"""The Poisson bootstrap against explicit resampling: every image repeated as often as drawn."""

import numpy as np
import pytest

from san.evaluation.bootstrap import (
    PoissonBootstrap,
    confidence_interval,
    poisson_weights,
)
from san.evaluation.confusion import count_pairs
from san.evaluation.metrics import metrics_of_counts, seen_and_unseen, segmentation_metrics

NUM_CLASSES, NUM_REPLICATES = 5, 40
GOLDEN = [1, 3, 2, 0, 0, 2, 3, 1, 0, 0, 1, 0]  # of "a.jpg", made with NumPy 2.2


def random_images(num_images=6, seed=0):
    """(file name, predicted, target) of small label maps with "none" and ignored pixels."""
    rng = np.random.default_rng(seed)
    for index in range(num_images):
        target = rng.choice([0, 1, 2, NUM_CLASSES], (8, 9))  # classes 3 and 4 are never shown
        guess = rng.choice([0, 1, 2, 3, NUM_CLASSES], target.shape)
        yield f"folder/{index}.jpg", np.where(rng.random(target.shape) < 0.6, target, guess), target


def bootstrap(images):
    result = PoissonBootstrap(NUM_CLASSES, NUM_REPLICATES)
    for name, predicted, target in images:
        pairs = count_pairs(predicted, target)
        result.add(name, pairs.of_classes(NUM_CLASSES))
    return result


def test_equals_explicit_resampling():
    images = list(random_images())
    weights = [poisson_weights(name, NUM_REPLICATES) for name, _, _ in images]
    seen = np.array([1, 0, 0, 1, 1])
    actual, iou_of_replicates, _ = metrics_of_counts(bootstrap(images).counts)
    actual |= seen_and_unseen(iou_of_replicates, seen)
    assert len(actual) == 7
    for replicate in range(NUM_REPLICATES):
        matrix = np.zeros((NUM_CLASSES + 1,) * 2, np.int64)
        for (_, predicted, target), weight in zip(images, weights, strict=True):
            for _ in range(weight[replicate]):
                np.add.at(matrix, (predicted, target), 1)
        overall, iou, _ = segmentation_metrics(matrix)
        overall |= seen_and_unseen(iou, seen)
        for name, values in actual.items():
            assert values[replicate] == pytest.approx(overall[name], nan_ok=True), name
    assert all(len(np.unique(values)) > NUM_REPLICATES / 2 for values in actual.values())


def test_neither_order_nor_process_nor_folder_matters():
    images = list(random_images())
    whole = bootstrap(images).counts
    parts = bootstrap(images[::-2]).counts + bootstrap(images[-2::-2]).counts
    np.testing.assert_array_equal(parts, whole)
    moved = [(f"/elsewhere/{name}", *maps) for name, *maps in images]
    np.testing.assert_array_equal(bootstrap(moved).counts, whole)


def test_weights_are_poisson_and_stay_the_same():
    weights = np.stack([poisson_weights(f"{i}.jpg", 500) for i in range(400)])
    share = np.bincount(weights.ravel()) / weights.size
    assert share[:5] == pytest.approx([0.36788, 0.36788, 0.18394, 0.06131, 0.01533], abs=4e-3)
    between_images = np.corrcoef(weights[:50])[np.triu_indices(50, 1)]
    assert abs(between_images).max() < 0.25 and abs(between_images.mean()) < 0.01
    assert not np.array_equal(poisson_weights("a.jpg", 9, seed=1), poisson_weights("a.jpg", 9))
    assert poisson_weights("a.jpg", 12).tolist() == GOLDEN  # published intervals can be repeated


def test_interval_covers_the_spread_of_new_samples():
    """For shares of right pixels, about normal, the interval has the width that theory has."""
    rng = np.random.default_rng(0)
    result = PoissonBootstrap(1, 2000)
    right = rng.random(400)  # share of class 0 found in each image
    for index, share in enumerate(right):
        predicted = np.where(np.arange(100) < 100 * share, 0, 1)
        pairs = count_pairs(predicted, np.zeros(100, int))
        result.add(f"{index}.jpg", pairs.of_classes(1))
    low, high = confidence_interval(metrics_of_counts(result.counts)[0]["mIoU"])
    standard_error = 100 * right.std() / 400**0.5
    assert low < 100 * right.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_nothing_to_resample():
    metrics, _, _ = metrics_of_counts(PoissonBootstrap(3, 4).counts)
    for values in metrics.values():
        assert np.isnan(values).all() and np.isnan(confidence_interval(values)).all()
