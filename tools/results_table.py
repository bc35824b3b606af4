#!/usr/bin/env python
"""Make the tables of docs/results.md from the evaluations below a folder.

    python tools/results_table.py [output/shapescenes]

The figures of every run found there, a folder with inference/results.json, go to
docs/results/shapescenes.json, beside those of earlier runs; the tables are made of that file.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from san.evaluation.report import markdown_table  # noqa: E402
from san.files import write_json, write_text  # noqa: E402

OUTPUT = ROOT / "output" / "shapescenes"
FIGURES = ROOT / "docs" / "results" / "shapescenes.json"
PAGE = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- tools/results_table.py: begin -->\n", "<!-- tools/results_table.py: end -->\n"
COLUMNS = {  # heading: data set, metric
    "seen": ("shapescenes_val", "mIoU_seen"),
    "unseen": ("shapescenes_val", "mIoU_unseen"),
    "harmonic": ("shapescenes_val", "mIoU_harmonic"),
    "synonyms": ("shapescenes_synonyms_val", "mIoU"),
    "fine": ("shapescenes_fine_val", "mIoU"),
    "coarse": ("shapescenes_coarse_val", "mIoU"),
    "colors": ("shapescenes_colors_val", "mIoU"),
    "looks": ("shapescenes_shift_val", "mIoU"),
    "many": ("shapescenes_many_val", "mIoU"),
}
SEEDS = ("san", "san_seed_1", "san_seed_2")
METHODS = {  # run: title
    "dense_clip": "dense CLIP",
    "maskclip": "MaskCLIP",
    "sclip": "SCLIP",
}
ABLATIONS = {
    "san_short": "SAN",
    "mask_pooling": "without attention bias: masks average CLIP's output",
    "no_fusion": "without CLIP's features in the side adapter",
    "low_resolution": "side adapter at CLIP's low resolution",
    "frozen_pos_embed": "CLIP's position embedding frozen",
    "single_supervision": "last level alone supervised",
}


def collect(folder):
    """The figures of earlier runs and of those below ``folder``: {run: {data set: metrics}}."""
    runs = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    for path in sorted(folder.glob("*/inference/results.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        if "shapescenes_val" in results:
            runs[path.parents[1].name] = results
    return runs


def row(title, figures):
    """A line of a table; a figure of several runs is their mean and standard deviation.

    A data set that was not evaluated has "-".
    """
    cells = []
    for dataset, metric in COLUMNS.values():
        values = [run[dataset][metric] for run in figures if dataset in run]
        if not values:
            cells.append("-")
            continue
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.1f}{spread}")
    return (title, *cells)


def tables(runs):
    """Markdown of both tables; runs that are not there have no line, and without runs no table."""
    seeds = [runs[name] for name in SEEDS if name in runs]
    methods = [row(title, [runs[name]]) for name, title in METHODS.items() if name in runs]
    spread = f", {len(seeds)} seeds" * (len(seeds) > 1)
    methods += [row(f"SAN{spread}", seeds)] if seeds else []
    ablations = [row(title, [runs[name]]) for name, title in ABLATIONS.items() if name in runs]
    return "\n".join(
        f"{heading}\n\n{markdown_table((first, *COLUMNS), lines)}"
        for heading, first, lines in (
            ("### Methods", "method", methods),
            ("### Ablations of SAN, 800 iterations of 16, seed 0", "change", ablations),
        )
        if lines
    )


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, default=OUTPUT, help="of tools/train_tiny.py (%(default)s)"
    )
    folder = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"{folder}: no such folder; tools/train_tiny.py makes it")
    runs = collect(folder)
    write_json(FIGURES, runs)
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    write_text(PAGE, f"{head}{BEGIN}\n{tables(runs)}\n{END}{tail}")
    print(f"{len(runs)} runs in {FIGURES}; tables in {PAGE}")


if __name__ == "__main__":
    main()
