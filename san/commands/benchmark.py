"""``san benchmark``: time, memory and operations of every stage; ``tools/benchmark.py``.

san benchmark --image-size 640 --words 171 847 --allocator default tuned
san benchmark --measure training --baseline "python other.py" --rounds 5

docs/performance.md says what the columns mean and what a baseline has to do. Results go to
``--output``: results.json, results.md, and plots where sizes vary. Exit status: 0; 1 a setting
could not be measured; 2 a mistake.
"""

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path

from san.benchmark.settings import (
    ALLOCATORS,
    COMPILE_MODES,
    DTYPES,
    MEASURES,
    Job,
    expand,
    parse_size,
)
from san.errors import UserError, exit_on_user_error

FORMAT = "san benchmark 1"
CONFIG = "san_clip_vit_res4_coco.yaml"
_ROUNDS_WITH_BASELINE = 3


def add_arguments(parser):
    """Add the command's options to an argparse parser."""
    _add_model_arguments(parser)
    _add_sweep_arguments(parser)
    parser.add_argument(
        "--repeats", type=_at_least(1), default=7, metavar="N", help="runs (default: %(default)s)"
    )
    parser.add_argument(
        "--warmup",
        type=_at_least(0),
        default=2,
        metavar="N",
        help="runs before (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=_at_least(1), metavar="N", help="CPU threads (default: PyTorch's choice)"
    )
    parser.add_argument(
        "--baseline", metavar="COMMAND",
        help="another implementation, run in turn with this one; docs/performance.md",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=_at_least(1), metavar="N",
        help="new processes of each setting, in turn with the baseline's (default: 1; "
        f"{_ROUNDS_WITH_BASELINE} with a baseline)",
    )  # fmt: skip
    parser.add_argument(
        "--output", default="output/benchmark", metavar="DIR", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--write-reference", metavar="FILE",
        help="write the counts that the tests compare with, and measure nothing",
    )  # fmt: skip
    parser.add_argument(
        "--opts", nargs="...", default=[], metavar="KEY VALUE",
        help="change the config; stands last: --opts MODEL.SAN.CLIP_PRETRAINED_NAME openai",
    )  # fmt: skip


def _add_model_arguments(parser):
    parser.add_argument(
        "--config-file", metavar="C",
        help=f"config (default: that of the published weights, else {CONFIG})",
    )  # fmt: skip
    parser.add_argument(
        "--weights", default="", metavar="W",
        help="name of a published model, or path or URL of weights (default: random ones)",
    )  # fmt: skip


def _add_sweep_arguments(parser):
    """Options whose values are combined, each with each."""

    def add(option, default, help, **kwargs):
        default_text = " ".join(map(str, default))
        parser.add_argument(
            option, nargs="+", default=default, help=f"{help} (default: {default_text})", **kwargs
        )

    what = "; ".join(f"{name}: {meaning}" for name, meaning in MEASURES.items())
    add("--measure", ["inference"], what, choices=list(MEASURES))
    add("--image-size", ["640"], "what the model sees: side, or HxW, in pixels", metavar="SIZE")
    parser.add_argument(
        "--source-size", metavar="SIZE", help="of the image file (default: the image size)"
    )
    add("--batch-size", [1], "images at once", type=_at_least(1), metavar="N")
    add("--words", [171], "classes in the vocabulary", type=_at_least(1), metavar="N")
    add("--dtype", ["float32"], "precision", choices=DTYPES)
    add("--device", ["cpu"], "cpu, cuda, cuda:1 ...", metavar="D")
    add("--compile", ["none"], "torch.compile of the network", choices=COMPILE_MODES)
    add("--allocator", ["default"], "of the C library", choices=list(ALLOCATORS))


def _at_least(minimum):
    """For argparse: whole numbers from ``minimum``."""

    def parse(text):
        number = int(text)
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        return number

    parse.__name__ = "whole number"  # as argparse names it in its message
    return parse


@exit_on_user_error
def main(args):
    """Measure -> exit status."""
    if args.write_reference:
        from san.benchmark.reference import write_reference

        write_reference(args.write_reference)
        return 0
    settings = expand(
        dict.fromkeys(args.measure),
        source_size=_size(args.source_size, "--source-size") if args.source_size else None,
        image_size=[_size(text, "--image-size") for text in args.image_size],
        batch_size=args.batch_size,
        num_words=args.words,
        dtype=args.dtype,
        device=args.device,
        compile=args.compile,
        allocator=args.allocator,
    )
    if settings[0].measure == "start" and not args.weights:
        args.weights = "san_tiny"  # as san segment takes it
    job = Job(
        _config_file(args), args.weights, tuple(args.opts), args.warmup, args.repeats, args.threads
    )
    rounds = args.rounds or (_ROUNDS_WITH_BASELINE if args.baseline else 1)
    results, failures = run(job, settings, args.baseline, rounds, Path(args.output))
    finish(results, failures, Path(args.output))
    return 1 if failures else 0


def _size(text, option):
    try:
        return parse_size(text)
    except ValueError:
        raise UserError(
            f"{option} {text}: give a side or HEIGHTxWIDTH, as 640 or 480x640"
        ) from None


def _config_file(args):
    if args.config_file or not args.weights:
        return args.config_file or CONFIG
    from san.weights import MODELS

    known = args.weights.removeprefix("san://")
    if known not in MODELS:
        raise UserError(
            f"--weights {args.weights} is none of the published models ({', '.join(MODELS)}): for "
            "weights of your own, give their config too, with --config-file"
        )
    return MODELS[known].config


def run(job, settings, baseline, rounds, output):
    """Measure all settings; what is known is in ``output`` after each of them.

    Returns:
        list of results (`san.benchmark.summary.summarize`), list of messages about failures.
    """
    from san.benchmark.processes import ProcessError
    from san.benchmark.report import overview_line
    from san.benchmark.summary import summarize

    header = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "config": job.config_file,
        "weights": job.weights,
    }
    results, failures = [], []
    for setting in settings:
        try:
            result = summarize(setting, _rounds(job, setting, baseline, rounds))
        except ProcessError as error:
            failures.append(str(error))
            print(f"FAILED {error}", file=sys.stderr)
            continue
        results.append(result)
        print(overview_line(result), flush=True)
        _write(results, header, output)
    return results, failures


def _rounds(job, setting, baseline, count):
    """Measure one setting in turn with the baseline: A B A B."""
    from san.benchmark.processes import run_baseline, run_worker

    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            ours = run_worker(job, setting, Path(folder))
            theirs = run_baseline(baseline, job, setting, Path(folder)) if baseline else None
            rounds.append({"ours": ours, "baseline": theirs})
    return rounds


def _write(results, header, output):
    from san.benchmark.report import report
    from san.files import write_json, write_text

    write_json(output / "results.json", {"format": FORMAT, **header, "results": results})
    write_text(output / "results.md", report(results, header))


def finish(results, failures, output):
    """Draw plots, and print where the results are and what is to be known about them."""
    from san.benchmark.plots import write_plots
    from san.benchmark.report import load_warning

    if not results:
        return
    names = ["results.json", "results.md", *[path.name for path in write_plots(results, output)]]
    print(f"{output}: {', '.join(names)}")
    warning = load_warning(results)
    if warning:
        print(f"NOTE: {warning}")
    if failures:
        print(f"{len(failures)} settings could not be measured", file=sys.stderr)
