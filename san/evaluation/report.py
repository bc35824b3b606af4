"""Evaluation results as JSON and Markdown files."""

import json
import math
import os
import tempfile
from pathlib import Path

METRICS = ("mIoU", "fwIoU", "mACC", "pACC")


def write_text(path, text):
    """Write a UTF-8 file whole or not at all: under a temporary name first, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_json(path, value):
    """Write ``value`` as standard JSON (a NaN becomes null), whole or not at all."""
    write_text(path, json.dumps(_without_nan(value), indent=1, allow_nan=False) + "\n")


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
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
