"""From pixel counts to the metrics of a data set, and their report in JSON and Markdown."""

from pathlib import Path

import numpy as np

from san.files import write_json, write_text

from .bootstrap import LEVEL, SEED, confidence_interval
from .boundary import boundary_iou
from .metrics import mean_of_shown, metrics_of_counts, seen_and_unseen, segmentation_metrics
from .report import markdown_table, overall_table, without_nan


def summarize(sums, class_names, seen=None):
    """Metrics of a data set in percent.

    Args:
        sums (dict): "matrix" (C + 1, C + 1) [predicted, target]; optionally "oracle", the same of
            the predictions with an oracle vocabulary, "boundary" (3, C), "bootstrap" (3, C, R).
        class_names (list[str]): C names.
        seen (ndarray | None): (C,) see `seen_and_unseen`.

    Returns:
        overall (dict[str, float]): mIoU, fwIoU, mACC, pACC; where counted also mIoU_ci95_low and
            mIoU_ci95_high, mBoundaryIoU, mIoU_seen, mIoU_unseen, mIoU_harmonic, and mIoU_oracle,
            fwIoU_oracle, mACC_oracle, pACC_oracle.
        classes (list[dict]): name, IoU, ACC, pixels, predicted_pixels of each class; where counted
            also BoundaryIoU, IoU_oracle, ACC_oracle.
        replicates (dict[str, ndarray]): of mIoU, fwIoU, mACC, pACC, and of mIoU_seen, mIoU_unseen,
            mIoU_harmonic where counted, (R,) each; empty without a bootstrap.
    """
    matrix = sums["matrix"]
    overall, iou, acc = segmentation_metrics(matrix)
    columns = {
        "name": class_names,
        "IoU": iou,
        "ACC": acc,
        "pixels": matrix[:, :-1].sum(0),  # that are of the class
        "predicted_pixels": matrix[:-1, :-1].sum(1),  # ignored ones left out
    }
    replicates = {}
    if "bootstrap" in sums:
        replicates, replicated_iou, _ = metrics_of_counts(sums["bootstrap"])
        interval = confidence_interval(replicates["mIoU"])
        overall |= dict(zip(("mIoU_ci95_low", "mIoU_ci95_high"), interval, strict=True))
    if "boundary" in sums:
        columns["BoundaryIoU"] = boundary_iou(sums["boundary"], columns["pixels"] > 0)
        overall["mBoundaryIoU"] = float(mean_of_shown(columns["BoundaryIoU"]))
    if seen is not None:
        overall |= {name: float(value) for name, value in seen_and_unseen(iou, seen).items()}
        if replicates:
            replicates |= seen_and_unseen(replicated_iou, seen)
    if "oracle" in sums:
        oracle, columns["IoU_oracle"], columns["ACC_oracle"] = segmentation_metrics(sums["oracle"])
        overall |= {f"{name}_oracle": value for name, value in oracle.items()}
    rows = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
    return overall, [dict(zip(columns, row, strict=True)) for row in rows], replicates


def write_report(folder, header, overall, classes, replicates):
    """Write ``sem_seg_evaluation.json`` and ``.md``.

    Args:
        folder (str)
        header (dict): "dataset" (str) and "images" (int).
        overall, classes, replicates: of `summarize`.
    """
    report = {**header, "metrics": overall, "classes": classes}
    if replicates:
        rounded = {name: np.round(values, 4).tolist() for name, values in replicates.items()}
        report["bootstrap"] = {"level": LEVEL, "seed": SEED, **rounded}
    stem = Path(folder) / "sem_seg_evaluation"
    write_json(f"{stem}.json", without_nan(report))
    shown = [key for key in classes[0] if key == "name" or key.startswith(("IoU", "ACC", "Bound"))]
    per_class = markdown_table(("class", *shown[1:]), [[c[key] for key in shown] for c in classes])
    overall = overall_table({header["dataset"]: overall})
    write_text(f"{stem}.md", f"{overall}\n{header['images']} images, in percent.\n\n{per_class}")
