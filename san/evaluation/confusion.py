"""Count the pixels of every pair of predicted and true class.

Label maps are made of runs of equal labels, and of 847 classes an image shows a few dozen. So runs
are counted, not pixels, in a table of the classes that occur, and an image is a list of pairs.

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
    """Pixel counts of the n pairs of labels that occur in an image, each pair once."""

    predicted: np.ndarray  # (n,) int
    target: np.ndarray  # (n,) int
    counts: np.ndarray  # (n,) int, above 0

    def to_classes(self, num_classes, ignore_label):
        """The pairs with class C for negative predictions, and for ``ignore_label``."""
        predicted = np.where(self.predicted < 0, num_classes, self.predicted)
        target = np.where(self.target == ignore_label, num_classes, self.target)
        return Pairs(predicted, target, self.counts)

    def add_to(self, matrix):
        """Add the counts of classes to ``matrix``, (C + 1, C + 1) [predicted, target]."""
        np.add.at(matrix, (self.predicted, self.target), self.counts)

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


def count_pairs(predicted, target):
    """Count the pairs of label maps.

    Args:
        predicted, target (ndarray): int of any type, of the same shape; not empty.

    Returns:
        Pairs: of the labels as they are.
    """
    predicted, target = predicted.ravel(), target.ravel()
    ends = (predicted[1:] != predicted[:-1]) | (target[1:] != target[:-1])
    starts = np.concatenate([[0], ends.nonzero()[0] + 1])  # (runs,)
    lengths = np.diff(starts, append=len(target))
    rows, row = _rank(predicted[starts])
    columns, column = _rank(target[starts])
    table = np.bincount(row * len(columns) + column, lengths)  # float, exact below 2^53
    (cells,) = table.nonzero()
    row, column = np.divmod(cells, len(columns))
    return Pairs(rows[row], columns[column], table[cells].astype(np.int64))


def _rank(labels):
    """The distinct labels, ascending, and the position among them of each of ``labels``."""
    lowest = int(labels.min())
    labels = labels.astype(np.int64) - lowest
    present = np.bincount(labels) > 0
    return present.nonzero()[0] + lowest, (present.cumsum() - 1)[labels]


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
        np.maximum(best, plane, out=best)
        np.copyto(labels, np.int32(label), where=better)
    return labels
