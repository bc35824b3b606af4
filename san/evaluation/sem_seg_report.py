"""From pixel counts to the metrics of a data set, and their report in JSON and Markdown."""

from pathlib import Path

import numpy as np

from san.files import write_json, write_text

from .bootstrap import LEVEL, SEED, confidence_interval, mean_iou_of_replicates
from .boundary import boundary_iou
from .metrics import seen_and_unseen, segmentation_metrics
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
        replicates (ndarray | None): (R,) mIoU of the bootstrap.
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
    replicates = None
    if "bootstrap" in sums:
        replicates = mean_iou_of_replicates(sums["bootstrap"])
        interval = confidence_interval(replicates)
        overall |= dict(zip(("mIoU_ci95_low", "mIoU_ci95_high"), interval, strict=True))
    if "boundary" in sums:
        columns["BoundaryIoU"] = boundary_iou(sums["boundary"], columns["pixels"] > 0)
        overall["mBoundaryIoU"] = _mean(columns["BoundaryIoU"])
    if seen is not None:
        overall |= seen_and_unseen(iou, seen)
    if "oracle" in sums:
        oracle, columns["IoU_oracle"], columns["ACC_oracle"] = segmentation_metrics(sums["oracle"])
        overall |= {f"{name}_oracle": value for name, value in oracle.items()}
    rows = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
    return overall, [dict(zip(columns, row, strict=True)) for row in rows], replicates


def _mean(values):
    shown = values[~np.isnan(values)]
    return float(shown.mean()) if len(shown) else float("nan")


def write_report(folder, header, overall, classes, replicates=None):
    """Write ``sem_seg_evaluation.json`` and ``.md``.

    Args:
        folder (str)
        header (dict): "dataset" (str) and "images" (int).
        overall, classes, replicates: of `summarize`.
    """
    report = {**header, "metrics": overall, "classes": classes}
    if replicates is not None:
        rounded = [round(value, 4) for value in replicates.tolist()]
        report["bootstrap"] = {"level": LEVEL, "seed": SEED, "mIoU": rounded}
    stem = Path(folder) / "sem_seg_evaluation"
    write_json(f"{stem}.json", without_nan(report))
    shown = [key for key in classes[0] if key == "name" or key.startswith(("IoU", "ACC", "Bound"))]
    per_class = markdown_table(("class", *shown[1:]), [[c[key] for key in shown] for c in classes])
    overall = overall_table({header["dataset"]: overall})
    write_text(f"{stem}.md", f"{overall}\n{header['images']} images, in percent.\n\n{per_class}")
