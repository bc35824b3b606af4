"""The command that segments images: ``san segment``, which is also ``demo/demo.py``.

It writes to the output folder NAME.overlay.jpg and NAME.labels.png of each image, and for the run
predictions.json, which is whole whenever it is there. Where the truth is known (``--truth``), also
NAME.comparison.jpg, and metrics in predictions.json:

    version, config, weights (null: untrained), device, background_threshold
    labels      "position" or, with --label-ids, "id": what the pixels of NAME.labels.png are
    vocabulary  list of {name, synonyms, id, color}
    metrics     with --truth, mIoU, pACC and IoU of all images together; of each image below
    complete    false where the run was interrupted
    images      list of {file, overlay, labels, height, width, seconds, classes}; the classes are
                those present, largest first, with their masks as COCO RLE (`san.batch`)
    failed      list of {file, error}
"""

import contextlib
import gc
import signal
import sys
import threading
import time
from pathlib import Path

from san.errors import UserError, exit_on_user_error
from san.files import write_json

RESULTS = "predictions.json"
_VOCABULARY_SUFFIXES = (".txt", ".yaml", ".yml", ".json")
ENDINGS = (".overlay.jpg", ".labels.png", ".comparison.jpg")
_SAVE_EVERY = 30  # seconds between two writings of predictions.json
_INTERRUPTED = 130  # exit status, as shells have it


def add_arguments(parser):
    """Add the command's options to an argparse parser."""
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH",
        help="images: files, folders (with their sub-folders) or glob patterns",
    )  # fmt: skip
    parser.add_argument(
        "--vocabulary", nargs="+", required=True, metavar="WORD",
        help='classes: words ("cat" "sofa|couch", or "cat, sofa|couch"), or one file: '
        "YAML, or text with one class per line",
    )  # fmt: skip
    parser.add_argument(
        "--truth", metavar="DIR",
        help="folder of true label maps, NAME.png for the image NAME, in the vocabulary's ids: "
        "print the mIoU, draw truth and result side by side",
    )  # fmt: skip
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--weights", metavar="W",
        help="name of a published model (san_tiny by default), or path or URL of weights",
    )  # fmt: skip
    parser.add_argument("--config-file", metavar="C", help="config of the weights")
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1 ...; CUDA by default where there is one"
    )
    parser.add_argument(
        "--background-threshold", type=float, metavar="T",
        help='leave out pixels whose share of "none of these" is at least T, 0..1',
    )  # fmt: skip
    parser.add_argument(
        "--label-ids", action="store_true",
        help="write the ids of the vocabulary file into NAME.labels.png, not positions",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run"
    )
    parser.add_argument(
        "--opts", nargs="...", default=[], metavar="KEY VALUE",
        help="change the config; stands last: --opts INPUT.MIN_SIZE_TEST 480",
    )  # fmt: skip


@exit_on_user_error
def main(args):
    """Segment images -> exit status: 0; 1 some images failed; 2 a mistake; 130 interrupted."""
    from san.inputs import find_inputs
    from san.modeling.text.vocabulary import check_background_threshold, check_ids

    vocabulary = parse_vocabulary(args.vocabulary)
    check_background_threshold(args.background_threshold)
    truth = None
    if args.truth:
        from san.truth import Truth

        truth = Truth(args.truth, vocabulary)
    if args.label_ids:
        check_ids(vocabulary)
    output = Path(args.output)
    inputs = find_inputs(args.input, exclude=output)
    _check_output(output, inputs, args.overwrite)
    segmenter = build_segmenter(args)
    segmenter.prepare(vocabulary)
    if not segmenter.trained:
        print(
            "NOTE: the weights are UNTRAINED (random): the pictures show the steps from image and "
            "words to results, not the accuracy of the model."
        )
    run = Run(segmenter, vocabulary, output, args.background_threshold, truth, args.label_ids)
    return run(inputs)


def parse_vocabulary(words):
    """Vocabulary of the command line: words, also separated by commas, or one vocabulary file."""
    from san.modeling.text.vocabulary import Vocabulary

    if len(words) == 1 and (words[0].lower().endswith(_VOCABULARY_SUFFIXES) or _is_path(words[0])):
        return Vocabulary.from_file(Path(words[0]).expanduser())
    parts = [part for word in words for part in word.strip().removesuffix(",").split(",")]
    return Vocabulary.from_words(parts)


def _is_path(word):
    return len(Path(word).parts) > 1 and Path(word).expanduser().is_file()


def _check_output(output, inputs, overwrite):
    """Refuse, before any work, a folder that is none or has results that would be lost."""
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file: give a folder")
    targets = [output / RESULTS]
    for item in inputs:
        targets += [Path(output, f"{item.name}{end}") for end in ENDINGS]
    present = [target for target in targets if target.exists()]
    if present and not overwrite:
        raise UserError(
            f"{present[0]} exists already: give another --output, or --overwrite to replace it"
        )


def build_segmenter(args):
    """Segmenter of --weights, --config-file, --device and --opts."""
    segmenter = _import_segmenter()
    if args.weights is None and args.config_file is not None:
        return segmenter.from_config(args.config_file, None, args.opts, args.device)
    name = args.weights or "san_tiny"
    return segmenter.from_pretrained(name, args.device, args.config_file, args.opts)


def _import_segmenter():
    """The class; where PyTorch comes with it, without a search for garbage among its modules.

    There is none, and to look for it time and again takes a seventh of a start.
    """
    first = "torch" not in sys.modules
    if first:
        gc.disable()
    from san.predictor import Segmenter

    if first:
        gc.freeze()
        gc.enable()
    return Segmenter


class Run:
    """One run over many images, and its predictions.json."""

    def __init__(
        self, segmenter, vocabulary, output, background_threshold, truth=None, with_ids=False
    ):
        self.segmenter, self.vocabulary, self.output = segmenter, vocabulary, output
        self.background_threshold, self.truth = background_threshold, truth
        self.with_ids = with_ids
        self.images, self.failed, self.matrix = [], [], 0

    def __call__(self, inputs):
        """Segment ``inputs`` with a progress bar -> exit status."""
        from tqdm import tqdm

        from san.batch import segment_files

        saved, complete = time.monotonic(), False
        try:
            with _first_interrupt() as interrupted:
                outcomes = segment_files(
                    self.segmenter,
                    inputs,
                    self.vocabulary,
                    self.output,
                    self.background_threshold,
                    self.truth,
                    self.with_ids,
                    go_on=lambda: not interrupted.is_set(),
                )
                for outcome in tqdm(outcomes, total=len(inputs), unit="image"):
                    self._note(outcome, tqdm.write)
                    if time.monotonic() - saved > _SAVE_EVERY:
                        self._save(complete=False)
                        saved = time.monotonic()
            complete = len(self.images) + len(self.failed) == len(inputs)
        except KeyboardInterrupt:  # the second one
            pass
        finally:
            self._save(complete)
        if not complete:
            print("interrupted", file=sys.stderr)
        self._report(len(inputs))
        if not complete:
            return _INTERRUPTED
        return 1 if self.failed else 0

    def _note(self, outcome, write):
        if outcome.error is None:
            self.images.append(outcome.record)
            if outcome.matrix is not None:
                self.matrix += outcome.matrix
        else:
            self.failed.append({"file": str(outcome.path), "error": outcome.error})
            write(f"error: {outcome.error}", file=sys.stderr)

    def _save(self, complete):
        data = {**self._describe(), "complete": complete}
        if self.metrics:
            data["metrics"] = self.metrics
        data |= {"images": self.images, "failed": self.failed}
        write_json(self.output / RESULTS, data)

    @property
    def metrics(self):
        """Metrics of all images together; None where there is no truth."""
        from san.truth import describe_metrics

        if self.truth is None or not self.images:
            return None
        return describe_metrics(self.matrix, self.vocabulary.names)

    def _describe(self):
        """What the images were segmented with."""
        from san import __version__

        threshold = self.background_threshold
        return {
            "version": __version__,
            **self.segmenter.source,
            "device": str(self.segmenter.device),
            "background_threshold": self.vocabulary.background_threshold
            if threshold is None
            else threshold,
            "labels": "id" if self.with_ids else "position",
            "vocabulary": describe_vocabulary(self.vocabulary),
        }

    def _report(self, total):
        print(f"Segmented {len(self.images)} of {total} images; {len(self.failed)} failed.")
        if self.metrics:
            shown = len(self.metrics["IoU"])
            print(f"mIoU {self.metrics['mIoU']} over the {shown} classes that the truth shows.")
        if self.images:
            kind = "overlay" if self.truth is None else "comparison"
            print(f"Look at {self.output / self.images[0][kind]}")
        print(f"All results: {self.output / RESULTS}")


@contextlib.contextmanager
def _first_interrupt():
    """Event that the first Ctrl-C sets, so that what is under way ends well; the second interrupts.

    Where Ctrl-C is ignored or handled by others, as in a shell's background jobs, it stays so.
    """
    event = threading.Event()

    def handle(signum, frame):
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield event
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def describe_vocabulary(vocabulary):
    """Describe the classes of a vocabulary as a vocabulary file does -> list of dict."""
    columns = (vocabulary.names, vocabulary.synonyms, vocabulary.ids, vocabulary.colors)
    return [
        {"name": name, "synonyms": synonyms[1:], "id": number, "color": f"#{bytes(color).hex()}"}
        for name, synonyms, number, color in zip(*columns, strict=True)
    ]
