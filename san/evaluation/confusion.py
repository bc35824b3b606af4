"""Count the pixels of every pair of predicted and true class.

The table of all pairs is dense but, for one image, almost empty: of 847 classes an image shows a
few dozen. So an image is counted as a list of the pairs that occur in it.

C classes; "none of the classes" and "ignored" are class C of the prediction and of the target.
"""

from typing import NamedTuple

import numpy as np


class ClassCounts(NamedTuple):
    """Pixel counts of the k classes that occur in an image, ignored pixels left out."""

    classes: np.ndarray  # (k,) int, ascending
    correct: np.ndarray  # (k,) int, that are of the class and predicted as it
    target: np.ndarray  # (k,) int, that are of the class
    predicted: np.ndarray  # (k,) int, that are predicted as it


class Pairs(NamedTuple):
    """Pixel counts of the n pairs of classes that occur in an image."""

    predicted: np.ndarray  # (n,) int, 0 .. C; C: none
    target: np.ndarray  # (n,) int, 0 .. C; C: ignored
    counts: np.ndarray  # (n,) int, above 0

    def add_to(self, matrix):
        """Add the counts to ``matrix``, (C + 1, C + 1) [predicted, target], in place."""
        matrix[self.predicted, self.target] += self.counts

    def of_classes(self, num_classes):
        """ClassCounts of the image; none and ignored are no classes."""
        kept = self.target < num_classes
        predicted, target, counts = (values[kept] for values in self)
        right = predicted == target
        sums = np.stack([
            _sums(target[right], counts[right], num_classes),
            _sums(target, counts, num_classes),
            _sums(predicted, counts, num_classes),
        ])  # (3, C)  # fmt: skip
        (classes,) = sums.any(axis=0).nonzero()
        return ClassCounts(classes, *sums[:, classes])


def _sums(classes, counts, num_classes):
    """(C,) int64 sum of the counts of each class."""
    sums = np.zeros(num_classes + 1, dtype=np.int64)
    np.add.at(sums, classes, counts)
    return sums[:num_classes]


def count_pairs(predicted, target, num_classes):
    """Count the pairs of label maps.

    Args:
        predicted (ndarray): int, any shape, 0 .. C; C means "none".
        target (ndarray): int, the same shape, 0 .. C; C means "ignored".

    Returns:
        Pairs
    """
    side = num_classes + 1
    cells = np.multiply(predicted, side, dtype=np.int64)
    cells += target
    table = np.bincount(cells.ravel(), minlength=side * side)  # fastest where pairs repeat
    (cells,) = (table != 0).nonzero()
    return Pairs(*np.divmod(cells, side), table[cells])


def argmax_classes(scores):
    """The best class of every pixel, the first of equals.

    Args:
        scores (Tensor): (C, H, W) float, without NaN.

    Returns:
        ndarray: (H, W) int32. On the CPU this is a running maximum over whole planes: torch's
        argmax over the first axis reads them pixel by pixel, and takes several times as long.
    """
    if scores.is_cuda:
        return scores.argmax(0).cpu().numpy().astype(np.int32)
    planes = scores.float().numpy()  # (C, H, W)
    best, labels = planes[0].copy(), np.zeros(planes.shape[1:], np.int32)  # (H, W)
    better = np.empty(best.shape, bool)
    for label, plane in enumerate(planes[1:], start=1):
        np.greater(plane, best, out=better)
        np.copyto(best, plane, where=better)
        np.copyto(labels, np.int32(label), where=better)
    return labels
