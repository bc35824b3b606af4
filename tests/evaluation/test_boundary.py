"""Boundary IoU against a brute-force reference, class by class and pixel by pixel."""

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import SemSegEvaluator as Detectron2Evaluator
from scipy import ndimage
from torch.nn.functional import one_hot

from san.evaluation.boundary import boundary, boundary_counts, boundary_distance, boundary_iou


def band(mask, distance):
    """The definition for one mask: its pixels at most ``distance`` steps from what is outside."""
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=distance, border_value=0)
    return mask & ~eroded


def blobs(shape, num_classes, seed):
    """(H, W) label map of coherent regions."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, num_classes, (-(-shape[0] // 9), -(-shape[1] // 11)))
    labels = np.kron(coarse, np.ones((9, 11), int))[: shape[0], : shape[1]]
    labels[rng.random(shape) < 0.01] = num_classes - 1
    return labels


@pytest.mark.parametrize("shape, distance", [((60, 80), 2), ((200, 150), 5), ((10, 24), 1)])
@pytest.mark.parametrize("num_classes", [4, 847])
def test_equals_brute_force(shape, distance, num_classes):
    assert boundary_distance(shape) == distance
    target = blobs(shape, num_classes + 1, 0)  # class C: ignored
    predicted = np.roll(blobs(shape, num_classes + 1, 0), 2, axis=1)  # class C: none
    predicted[: shape[0] // 2] = blobs(shape, num_classes + 1, 1)[: shape[0] // 2]
    actual = boundary_counts(predicted, target, num_classes)
    without_ignored = np.where(target == num_classes, num_classes, predicted)
    for label in np.unique([target, predicted]):
        if label == num_classes:
            continue
        in_target = band(target == label, distance)
        in_predicted = band(without_ignored == label, distance)
        expected = [(in_target & in_predicted).sum(), in_target.sum(), in_predicted.sum()]
        assert actual[:, label].tolist() == expected
    assert actual[1:].sum(1).min() > 0


def test_largest_labels():
    """16-bit labels do not wrap around at the edge of the image or between classes."""
    labels = np.full((30, 30), 65534)
    labels[:, 15:] = 0
    expected = band(labels == 0, 2) | band(labels == 65534, 2)
    np.testing.assert_array_equal(boundary(labels, 2), expected)


def test_iou():
    counts = np.array([[2, 0, 0, 5], [4, 3, 0, 5], [4, 0, 7, 5]])
    iou = boundary_iou(counts, present=np.array([True, True, False, True]))
    assert iou[[0, 1, 3]] == pytest.approx([100 * 2 / 6, 0, 100]) and np.isnan(iou[2])


def test_class_1_of_two_equals_detectron2(tmp_path):
    """Detectron2 takes the difference of labels and their minimum nearby for the label of a
    boundary: that is Boundary IoU for class 1 of the classes 0 and 1, all pixels labeled."""
    name = "boundary_test_two_classes"
    target, predicted = blobs((90, 120), 2, 0), np.roll(blobs((90, 120), 2, 0), 1, axis=0)
    record = {"file_name": "a.jpg", "sem_seg_file_name": "a.png"}
    if name not in DatasetCatalog:
        DatasetCatalog.register(name, lambda: [record])
        MetadataCatalog.get(name).set(stuff_classes=["other", "thing"], ignore_label=255)
    theirs = Detectron2Evaluator(name, sem_seg_loading_fn=lambda path, dtype: target.astype(dtype))
    theirs.reset()
    theirs.process([record], [{"sem_seg": _one_hot(predicted)}])
    expected = theirs.evaluate()["sem_seg"]["BoundaryIoU-thing"]
    counts = boundary_counts(predicted, target, 2)
    assert boundary_iou(counts, np.array([True, True]))[1] == pytest.approx(expected)
    assert 0 < expected < 100


def _one_hot(labels):
    return one_hot(torch.from_numpy(labels)).permute(2, 0, 1)  # (C, H, W)
