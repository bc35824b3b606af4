"""Evaluation results in the forms of JSON and Markdown."""

import math

METRICS = ("mIoU", "fwIoU", "mACC", "pACC")


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


def overall_table(results):
    """Markdown table with a line of overall metrics for each data set.

    Args:
        results (dict[str, dict[str, float]]): data set -> metrics, METRICS among them.
    """
    rows = [(name, *[metrics[key] for key in METRICS]) for name, metrics in results.items()]
    return markdown_table(("data set", *METRICS), rows)
