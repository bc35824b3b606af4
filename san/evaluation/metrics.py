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
    correct = np.diag(matrix)[:-1]  # (C,)
    target = matrix[:, :-1].sum(0)  # (C,) "none" is a wrong prediction
    predicted = matrix[:-1, :-1].sum(1)  # (C,)
    overall, iou, acc = metrics_of_counts(np.stack([correct, target, predicted]))
    return {name: float(value) for name, value in overall.items()}, iou, acc


def metrics_of_counts(counts):
    """Metrics in percent, of one evaluation or of each of many replicates.

    Args:
        counts (ndarray): (3, C, ...) correct, target and predicted pixels of every class.

    Returns:
        tuple: dict of mIoU, fwIoU, mACC and pACC, (...) float, NaN without a labeled pixel; ``iou``
            and ``acc``, (C, ...) float, NaN for a class that the ground truth does not show.
    """
    correct, target, predicted = counts.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        present = target > 0
        iou = np.where(present, 100 * correct / (target + predicted - correct), np.nan)
        acc = np.where(present, 100 * correct / target, np.nan)
        share = target / target.sum(0)
        overall = {
            "mIoU": mean_of_shown(iou),
            "fwIoU": np.where(present, iou * share, 0).sum(0) / present.any(0),
            "mACC": mean_of_shown(acc),
            "pACC": 100 * correct.sum(0) / target.sum(0),
        }
    return overall, iou, acc


def mean_of_shown(values):
    """Mean over the classes that have a value: (C, ...), NaN for none -> (...)."""
    shown = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(shown, values, 0).sum(0) / shown.sum(0)


def seen_and_unseen(iou, seen):
    """Mean IoU of the classes that training showed, of the others, and their harmonic mean.

    Args:
        iou (ndarray): (C, ...) float, NaN for a class that the ground truth never shows.
        seen (ndarray): (C,) 1 or True: seen, 0 or False: unseen; any other: in neither group.

    Returns:
        dict[str, ndarray]: "mIoU_seen", "mIoU_unseen", "mIoU_harmonic", (...) each; NaN for a group
            not shown.
    """
    means = [mean_of_shown(iou[group]) for group in (seen == 1, seen == 0)]
    return {
        "mIoU_seen": means[0],
        "mIoU_unseen": means[1],
        "mIoU_harmonic": harmonic_mean(*means),
    }


def harmonic_mean(a, b):
    """Harmonic mean of two numbers >= 0, or of the elements of two arrays; 0 where both are."""
    total = np.add(a, b)
    return 2 * np.multiply(a, b) / np.where(total == 0, 1, total)


def class_flags(metadata, name, num_classes):
    """(C,) bool of the metadata ``name``."""
    flags = np.array(metadata.get(name), dtype=bool)
    if len(flags) != num_classes:
        raise UserError(
            f"data set '{metadata.name}': its metadata '{name}' has {len(flags)} entries for "
            f"{num_classes} class names; give one bool per class"
        )
    return flags
