"""Evaluation results in the forms of JSON and Markdown."""

import logging
import math
from pathlib import Path

from san.files import write_json, write_text

# Overall metrics of each kind of result, in the order of the tables
METRICS = {
    "sem_seg": (
        *("mIoU", "fwIoU", "mACC", "pACC", "mIoU_ci95_low", "mIoU_ci95_high", "mBoundaryIoU"),
        *("mIoU_seen", "mIoU_unseen", "mIoU_harmonic"),
        *("mIoU_oracle", "fwIoU_oracle", "mACC_oracle", "pACC_oracle"),
    ),
    "zero_shot": ("top1", "top5", "top1_seen", "top1_unseen", "top1_harmonic"),
    "retrieval": (
        "image_to_text_R@1",
        "image_to_text_R@5",
        "text_to_image_R@1",
        "text_to_image_R@5",
    ),
}

logger = logging.getLogger(__name__)


def without_nan(value):
    """``value`` of dicts, lists and numbers with each NaN, which JSON does not have, as None."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def markdown_table(header, rows):
    """A Markdown table; numbers get two digits and the right-hand side, NaN a dash."""
    lines = [list(header), ["---", *["---:"] * (len(header) - 1)]]
    lines += [[_cell(value) for value in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(value):
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.2f}"
    return str(value).replace("|", "\\|")


def overall_table(results, kind="sem_seg"):
    """Markdown table with a line of overall metrics for each data set.

    Args:
        results (dict[str, dict[str, float]]): data set -> metrics; those of METRICS[kind] that no
            data set has get no column.
    """
    keys = [key for key in METRICS[kind] if any(key in m for m in results.values())]
    rows = [(name, *[m.get(key, math.nan) for key in keys]) for name, m in results.items()]
    return markdown_table(("data set", *keys), rows)


def write_results(folder, results):
    """Log the overall metrics of all data sets, and write them to results.json and results.md.

    Args:
        folder (Path)
        results (dict): data set -> {kind: metrics}; those of METRICS[kind] are kept.
    """
    tables, overall = [], {}
    for kind, names in METRICS.items():
        metrics = {name: result[kind] for name, result in results.items() if kind in result}
        if metrics:
            tables.append(overall_table(metrics, kind))
        overall |= {name: {key: m[key] for key in names if key in m} for name, m in metrics.items()}
    text = "\n".join(tables)
    logger.info("Evaluation results, in percent (%s):\n%s", folder, text)
    write_text(Path(folder) / "results.md", text)
    in_order = {name: overall[name] for name in results}
    write_json(Path(folder) / "results.json", without_nan(in_order))
