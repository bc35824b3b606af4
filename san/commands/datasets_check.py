"""``san datasets check``: check data sets, tell what is wrong and what to do next.

Exit status: 0; 1 there are problems; 2 a mistake in the command or in a data set file.
"""

import os
from pathlib import Path

from san.errors import UserError


def add_arguments(parser):
    """Add the options to an argparse parser."""
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help="data sets, also files of one's own (.yaml, .json); default: all that are there",
    )  # fmt: skip
    parser.add_argument(
        "--root", type=Path, metavar="DIR",
        help="folder of all data sets (default: $DETECTRON2_DATASETS, else datasets)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="write a page NAME.html for each data set: all problems, all classes, some overlays",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=int, metavar="N", help="open only N images of each data set, at even steps"
    )
    parser.add_argument(
        "--subset", action="store_true", help="accept fewer images than are published"
    )
    parser.add_argument(
        "--num-workers", type=int, metavar="N", help="threads (default: one per core)"
    )


def run(args):
    """Check the data sets -> exit status."""
    for option in ("limit", "num_workers"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise UserError(f"--{option.replace('_', '-')} is {value}; give 1 or more")
    if args.root is not None:
        if not args.root.is_dir():
            raise UserError(f"--root {args.root} is no folder; give that of all data sets")
        os.environ["DETECTRON2_DATASETS"] = str(args.root)
    from san.data.datasets import DATASETS, SHAPESCENES

    names = args.names or [*DATASETS, *SHAPESCENES]
    reports = [_check(name, args) for name in names]
    if not args.names:  # few have all: those that are not there are no problem
        missing = [report.name for report in reports if report.tally is None]
        reports = [report for report in reports if report.tally is not None]
        print(f"not there: {', '.join(missing) or 'none'}")
    return _conclude(reports)


def _check(name, args):
    from san.data.check.run import check_dataset
    from san.data.check.text import describe

    report = check_dataset(name, args.limit, args.num_workers, args.subset)
    if report.tally is None and not args.names:
        return report
    print(describe(report))
    if args.output is not None and report.tally is not None:
        from san.data.check.sheet import write_sheet

        print(f"  page     {write_sheet(report, args.output)}")
    return report


def _conclude(reports):
    from san.data.check.text import next_steps

    print("\nnext:")
    for line in next_steps(reports):
        print(f"  {line}")
    if not reports:
        print("  no data set is there; datasets/README.md says where to get them, and")
        print("  `python datasets/prepare_shapescenes.py` draws one that needs no download")
    return 1 if not reports or any(report.problems for report in reports) else 0
