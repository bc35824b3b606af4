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

from san.errors import UserError


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


def seen_and_unseen(iou, seen):
    """Mean IoU of the classes that training showed, of the others, and their harmonic mean.

    Args:
        iou (ndarray): (C,) float, NaN for a class that the ground truth never shows.
        seen (ndarray): (C,) 1 or True: seen, 0 or False: unseen; any other: in neither group.

    Returns:
        dict[str, float]: "mIoU_seen", "mIoU_unseen", "mIoU_harmonic"; NaN for a group not shown.
    """
    means = [_mean(iou[group & ~np.isnan(iou)]) for group in (seen == 1, seen == 0)]
    return {
        "mIoU_seen": means[0],
        "mIoU_unseen": means[1],
        "mIoU_harmonic": harmonic_mean(*means),
    }


def _mean(values):
    return float(values.mean()) if len(values) else float("nan")


def harmonic_mean(a, b):
    """Harmonic mean of two floats >= 0, 0 where either is."""
    return 0.0 if a + b == 0 else 2 * a * b / (a + b)


def class_flags(metadata, name, num_classes):
    """(C,) bool of the metadata ``name``."""
    flags = np.array(metadata.get(name), dtype=bool)
    if len(flags) != num_classes:
        raise UserError(
            f"data set '{metadata.name}': its metadata '{name}' has {len(flags)} entries for "
            f"{num_classes} class names; give one bool per class"
        )
    return flags
