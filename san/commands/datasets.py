"""``san datasets prepare``: from the archives that each data set's authors publish to the files
that training and evaluation read.

Nothing heavy is imported before an action runs, so help and errors come at once.
"""

import argparse
from pathlib import Path

from san.commands import datasets_check
from san.errors import exit_on_user_error

NAMES_HELP = (
    "coco_stuff, coco_object, ade20k_150, ade20k_847, pascal_context_59, pascal_context_60, "
    "pascal_context_459, voc_20, voc_21, voc_20b, cityscapes, a registered name for one split, or "
    "all"
)


def add_arguments(parser):
    """Declare the actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (summary, declare, run) in ACTIONS.items():
        action = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        declare(action)
        action.set_defaults(run=run)


@exit_on_user_error
def main(args):
    """Run one action -> exit status: 0, 1 if files failed, 2 for a wrong set-up."""
    return args.run(args)


def prepare_main(names):
    """Command line of a script that prepares some data sets -> exit status.

    Args:
        names (list[str]): see `san.data.prepare.choose`.
    """
    parser = argparse.ArgumentParser(
        description=f"Make the files of {', '.join(names)}; see `san datasets prepare --help`."
    )
    _add_prepare_arguments(parser)
    return main(parser.parse_args(namespace=argparse.Namespace(names=names, run=_prepare)))


def _add_prepare_arguments(parser):
    parser.add_argument(
        "--root",
        type=Path,
        help="folder of all data sets (default: $DETECTRON2_DATASETS, else datasets)",
    )
    parser.add_argument(
        "--archives",
        type=Path,
        metavar="DIR",
        help="folder with the downloaded archives or what was unpacked from them (default: ROOT)",
    )
    parser.add_argument(
        "--num-workers", type=int, metavar="N", help="processes (default: one per core)"
    )
    parser.add_argument(
        "--subset", action="store_true", help="accept fewer images than are published"
    )


def _add_prepare_names(parser):
    parser.add_argument("names", nargs="+", metavar="NAME", help=NAMES_HELP)
    _add_prepare_arguments(parser)


def _prepare(args):
    from san.data.prepare import prepare

    return prepare(args.names, args.root, args.archives, args.num_workers, args.subset)


# name: (what it does, declares its arguments, runs it)
ACTIONS = {
    "prepare": (
        "make the files that data sets are read from, out of their published archives",
        _add_prepare_names,
        _prepare,
    ),
    "check": (
        "look data sets over: what is missing or broken, and how much there is of every class",
        datasets_check.add_arguments,
        datasets_check.run,
    ),
}
