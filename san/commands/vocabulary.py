"""``san vocabulary``: look after a vocabulary file.

san vocabulary lint words.yaml
san vocabulary tune --datasets voc21_sem_seg_val --weights san_vit_b_16 --write words.yaml

Exit status: 0; 1 lint has found something; 2 a mistake.
"""

from pathlib import Path

from san.errors import UserError, exit_on_user_error
from san.segment import build_segmenter

_SHOWN = 20  # similar pairs
_STEPS = 20  # rows of the table


def add_arguments(parser):
    """Add the sub-commands to an argparse parser."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    lint = actions.add_parser(
        "lint",
        help="find probable mistakes: duplicates, near-duplicates, long and hidden words",
    )
    lint.add_argument("file", metavar="FILE", help="vocabulary file: YAML or text")
    lint.add_argument(
        "--similarity", type=float, default=0.95, metavar="S",
        help="cosine of two text embeddings from which words say the same (default: 0.95)",
    )  # fmt: skip
    _add_model_arguments(lint)
    tune = actions.add_parser(
        "tune", help="find the background threshold of the best mIoU on data sets"
    )
    tune.add_argument(
        "--datasets", nargs="+", required=True, metavar="NAME",
        help="data sets with a class 'background'; the mean of their mIoU counts",
    )  # fmt: skip
    tune.add_argument(
        "--vocabulary", metavar="FILE",
        help="vocabulary file whose ids are labels; labels that are no id are background",
    )  # fmt: skip
    tune.add_argument(
        "--write", metavar="FILE",
        help="write the best threshold into this vocabulary file, which is made if need be",
    )  # fmt: skip
    _add_model_arguments(tune)


def _add_model_arguments(parser):
    parser.add_argument(
        "--weights", metavar="W",
        help="name of a published model (san_tiny by default), or path or URL of weights",
    )  # fmt: skip
    parser.add_argument("--config-file", metavar="C", help="config of the weights")
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1 ...; CUDA by default where there is one"
    )
    parser.add_argument(
        "--opts", nargs="...", default=[], metavar="KEY VALUE",
        help="change the config; stands last: --opts TEST.PROTOCOL common",
    )  # fmt: skip


@exit_on_user_error
def main(args):
    """Run one sub-command -> exit status."""
    return {"lint": lint_file, "tune": tune_threshold}[args.action](args)


def lint_file(args):
    """Print the findings of a vocabulary file -> 1 if there are any, else 0."""
    from san.modeling.text.lint import find_clashes, find_long, find_similar, list_words
    from san.modeling.text.vocabulary import Vocabulary

    if not -1 <= args.similarity <= 1:
        raise UserError(f"--similarity is {args.similarity}: give a cosine, such as 0.95")
    vocabulary = Vocabulary.from_file(args.file, allow_duplicates=True)
    words = list_words(vocabulary.classes)
    classifier, trained = _text_classifier(args)
    templates = _templates(vocabulary)
    room = classifier.room_for_words(templates)
    findings = find_clashes(words) + find_long(words, room, classifier.count_tokens)
    fitting = [word for word in words if classifier.count_tokens(word.text) <= room]
    similar = []
    if trained:
        embeds = classifier.embed_words([word.text for word in fitting], templates)
        similar = find_similar(fitting, embeds, args.similarity)
    else:
        print("NOTE: the weights are UNTRAINED (random): similar words are not looked for.")
    for finding in findings + similar[:_SHOWN]:
        print(f"{finding.kind:10} {finding.message}")
    if len(similar) > _SHOWN:
        print(
            f"... and {len(similar) - _SHOWN} pairs more of similar words. A CLIP that was not "
            "trained on such words cannot tell them apart; --weights takes another"
        )
    count = len(findings) + len(similar)
    print(f"{args.file}: {len(vocabulary)} classes, {len(words)} words, {count} findings")
    return 1 if count else 0


def _text_classifier(args):
    """The text classifier of a model, and whether its weights are trained."""
    segmenter = build_segmenter(args)
    return segmenter.model.text_classifier, segmenter.trained


def _templates(vocabulary):
    from san.modeling.text.templates import get_templates

    templates = vocabulary.templates
    return get_templates(templates, "templates") if isinstance(templates, str) else templates


def tune_threshold(args):
    """Print the mIoU of thresholds and the best one, and write it where asked -> 0."""
    import numpy as np

    from san.config import load_config
    from san.data import build_test_loader
    from san.evaluation.background import THRESHOLDS, foreground_vocabulary, sweep_thresholds
    from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor

    _check_tune(args)
    segmenter = build_segmenter(args)
    if not isinstance(segmenter.model, OpenVocabSegmentor):
        raise UserError(f"{args.config_file} is the config of no segmentor: it gives no label maps")
    cfg = load_config(segmenter.source["config"], args.opts)
    curves = []
    for name in args.datasets:
        loader = build_test_loader(cfg, name)
        vocabulary = foreground_vocabulary(cfg, name, args.vocabulary)
        sweep = sweep_thresholds(segmenter.model, _progress(loader, name), vocabulary, name)
        curves.append(sweep.miou())
    mean = np.mean(curves, axis=0)  # (K + 1,), the last without a threshold
    best = int(mean.argmax())
    _print_curve(args.datasets, curves, mean, best)
    if best == len(THRESHOLDS):
        print("No threshold is better than none.")
        return 0
    threshold = round(float(THRESHOLDS[best]), 3)
    print(f"best: background_threshold {threshold}, mIoU {mean[best]:.2f}")
    if args.write:
        _write(args.write, vocabulary, threshold)
    return 0


def _check_tune(args):
    """Refuse what would end in an error after the work."""
    several = len(args.datasets) > 1
    if several and args.vocabulary:
        raise UserError("--vocabulary has the labels of one data set: give one --datasets NAME")
    if several and args.write and not Path(args.write).exists():
        raise UserError(
            f"--write {args.write}: the file does not exist, and it cannot be made of the classes "
            "of several data sets; write it first, or give one --datasets NAME"
        )


def _progress(loader, name):
    from tqdm import tqdm

    return tqdm(loader, desc=name, unit="batch")


def _print_curve(datasets, curves, mean, best):
    """A table of the mIoU at some thresholds, at the best one, and without one."""
    from san.evaluation.background import THRESHOLDS
    from san.evaluation.report import markdown_table

    last = len(THRESHOLDS)
    rows = sorted({*range(0, last, (last - 1) // _STEPS), best, last})
    columns = [*curves, mean] if len(curves) > 1 else curves
    names = [f"{name} mIoU" for name in datasets] + ["mean"] * (len(curves) > 1)
    table = []
    for row in rows:
        threshold = "none" if row == last else f"{THRESHOLDS[row]:.3f}"
        values = [f"{column[row]:.2f}" for column in columns]
        table.append([threshold + (" (best)" if row == best else ""), *values])
    print(markdown_table(("threshold", *names), table))


def _write(path, vocabulary, threshold):
    """Put the threshold into a vocabulary file, which is made of ``vocabulary`` if need be."""
    import dataclasses

    from san.modeling.text.vocabulary_file import set_background_threshold, write_vocabulary_file

    if Path(path).exists():
        set_background_threshold(path, threshold)
    else:
        tuned = dataclasses.replace(vocabulary, background_threshold=threshold)
        write_vocabulary_file(path, tuned)
    print(f"written to {path}")
