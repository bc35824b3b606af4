"""Metrics of a confusion matrix, those of Detectron2's SemSegEvaluator.

N[p, t] counts the pixels of true class t predicted as class p; the last row stands for "none of
the classes", the last column for ignored pixels, and C is the number of classes:

    IoU(t) = N[t, t] / (pixels of t + pixels predicted as t - N[t, t])      ignored pixels left out
    ACC(t) = N[t, t] / pixels of t
    mIoU, mACC: their means over the classes that are present in the ground truth
    fwIoU: sum over t of IoU(t) * pixels of t / all pixels
    pACC: sum over t of N[t, t] / all pixels
"""

import numpy as np


def count_confusion(predicted, target, num_classes):
    """Confusion matrix of label maps.

    Args:
        predicted (ndarray): int, any shape, 0 .. num_classes; num_classes means "none".
        target (ndarray): int, the same shape, 0 .. num_classes; num_classes means "ignored".

    Returns:
        ndarray: (num_classes + 1, num_classes + 1) int64, [predicted, target].
    """
    side = num_classes + 1
    pairs = predicted.astype(np.int64).ravel() * side + target.ravel()
    return np.bincount(pairs, minlength=side * side).reshape(side, side)


def segmentation_metrics(matrix):
    """Metrics of a confusion matrix in percent; NaN for a class that the ground truth never shows.

    Args:
        matrix (ndarray): (C + 1, C + 1) counts, [predicted, target].

    Returns:
        tuple: dict of mIoU, fwIoU, mACC and pACC (float); ``iou`` (C,) and ``acc`` (C,) float.
    """
    correct = np.diag(matrix)[:-1].astype(float)  # (C,)
    target = matrix[:, :-1].sum(0).astype(float)  # (C,) "none" is a wrong prediction
    predicted = matrix[:-1, :-1].sum(1).astype(float)  # (C,)
    with np.errstate(invalid="ignore", divide="ignore"):
        present = target > 0
        iou = np.where(present, 100 * correct / (target + predicted - correct), np.nan)
        acc = np.where(present, 100 * correct / target, np.nan)
        share = target[present] / target.sum()
        overall = {
            "mIoU": iou[present].sum() / present.sum(),
            "fwIoU": (iou[present] * share).sum() if present.any() else np.nan,
            "mACC": acc[present].sum() / present.sum(),
            "pACC": 100 * correct.sum() / target.sum(),
        }
    return {name: float(value) for name, value in overall.items()}, iou, acc
