"""The console command ``san`` and its sub-commands.

Nothing heavy is imported before a sub-command runs, so help and errors come at once.
"""

import argparse
import importlib
import logging
import os
import sys
import warnings

import san
from san.allocator import keep_freed_memory
from san.threads import wait_asleep

# name: (module with add_arguments(parser) and main(args), what it does)
COMMANDS = {
    "segment": ("san.segment", "segment images by the words of a vocabulary"),
    "convert-weights": ("san.convert", "convert weights from and to the official SAN's names"),
    "evaluate": ("san.commands.evaluate", "evaluate weights on data sets, and leave a card"),
    "compare": ("san.commands.compare", "tell whether evaluations differ by more than noise"),
    "vocabulary": ("san.commands.vocabulary", "check a vocabulary file, tune its threshold"),
    "benchmark": ("san.commands.benchmark", "measure time, memory and operations of a model"),
    "datasets": ("san.commands.datasets", "prepare data sets from their archives, and check them"),
}


def main(argv=None):
    """Run one sub-command -> exit status."""
    argv = sys.argv[1:] if argv is None else argv
    _silence_libraries()
    keep_freed_memory()
    wait_asleep()
    args = _build_parser(argv).parse_args(argv)
    return importlib.import_module(COMMANDS[args.command][0]).main(args)


def _build_parser(argv):
    parser = argparse.ArgumentParser(prog="san", description="Open-vocabulary segmentation.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {san.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name in argv[:1]:  # only the module in use is imported
            importlib.import_module(module).add_arguments(command)
    return parser


def _silence_libraries():
    """Keep notices of libraries, on which a user cannot act, off the terminal."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the processes that a command starts
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    logging.getLogger("san").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
