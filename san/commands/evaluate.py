"""``san evaluate``: figures of weights on data sets, with a card; ``train_net.py --eval-only``.

san evaluate --weights san_vit_b_16 --datasets voc_sem_seg_val ade20k_sem_seg_val
san evaluate --weights output/model_final.pth --config-file configs/... OUTPUT_DIR output/eval
san evaluate --weights san_vit_b_16 --verify
san evaluate --predictions output/eval --output output/again

Results go to OUTPUT_DIR/inference, a log of all details to OUTPUT_DIR/log.txt. Exit status: 0; 1 a
figure is not the expected one (--verify); 2 a mistake.
"""

import os

from san.errors import UserError, exit_on_user_error


def add_arguments(parser):
    """Add the command's options to an argparse parser."""
    parser.add_argument(
        "--weights", metavar="W",
        help="name of a published model, or path or URL of weights (default: MODEL.WEIGHTS)",
    )  # fmt: skip
    parser.add_argument(
        "--config-file", metavar="C", help="config (default: that of the published model)"
    )
    parser.add_argument(
        "--datasets", nargs="+", metavar="NAME", help="data sets (default: DATASETS.TEST)"
    )
    parser.add_argument(
        "--protocol", metavar="P", help="protocol of the data sets (default: TEST.PROTOCOL)"
    )
    parser.add_argument(
        "--predictions", metavar="DIR",
        help="evaluate predictions that were saved with TEST.SAVE_PREDICTIONS True, without a "
        "model; DIR is OUTPUT_DIR of that evaluation, or the folder of one data set in it",
    )  # fmt: skip
    parser.add_argument(
        "--num-gpus", type=int, default=1, metavar="N",
        help="processes, each on a GPU; with MODEL.DEVICE cpu, on the CPU (default: 1)",
    )  # fmt: skip
    parser.add_argument("--output", metavar="DIR", help="folder of the results (OUTPUT_DIR)")
    parser.add_argument(
        "--verify", action="store_true",
        help="check the figures against those expected of the weights; exit status 1 if one is off",
    )  # fmt: skip
    parser.add_argument(
        "--expected", metavar="FILE",
        help="--verify against the figures of this file, or of this published model",
    )  # fmt: skip
    parser.add_argument(
        "--write-expected", metavar="FILE", help="write the figures as expected ones"
    )
    parser.add_argument(
        "opts", nargs="...", default=[], metavar="KEY VALUE",
        help="change the config; stands last: INPUT.MIN_SIZE_TEST 480",
    )  # fmt: skip
    # what else `san.launch` and `san.launch.setup` ask for
    parser.set_defaults(num_machines=1, machine_rank=0, dist_url="auto", eval_only=True)


@exit_on_user_error
def main(args):
    """Evaluate -> exit status."""
    from san.evaluation.card import read_card
    from san.evaluation.expected import find_expected, read_expected, write_expected
    from san.launch import launch

    cfg = build_config(args)
    expected = None
    if args.verify or args.expected:
        expected = read_expected(find_expected(args.expected or cfg.MODEL.WEIGHTS))
    if args.predictions:
        run_without_model(args, cfg)
    else:
        launch(run, args, cfg.MODEL.DEVICE, (args, cfg))
    if os.environ.get("RANK", "0") != "0":  # torchrun starts the command once per process
        return 0
    card = read_card(cfg.OUTPUT_DIR)
    if args.write_expected:
        write_expected(args.write_expected, card)
    return 0 if expected is None else report(card, expected)


def run(args, cfg):
    """What every process does."""
    from san.engine import Trainer
    from san.launch import setup

    setup(args, cfg, brief=True)
    Trainer.evaluate(cfg)


def run_without_model(args, cfg):
    """Evaluate saved predictions."""
    from detectron2.utils.logger import setup_logger

    from san.evaluation.options import SemSegOptions
    from san.evaluation.saved import evaluate_predictions

    setup_logger(cfg.OUTPUT_DIR, name="san")
    evaluate_predictions(args.predictions, cfg.OUTPUT_DIR, SemSegOptions.from_config(cfg))


def build_config(args):
    """The config of the command line; it may change ``args``.

    ``config_file`` becomes a path; names of data sets and what follows are told apart.

    Raises:
        UserError: neither weights nor config are named, or weights of one's own without a config.
    """
    from san.config import find_config, load_config
    from san.weights import MODELS

    names, args.opts = split_options(args.datasets or [], args.opts)
    if args.predictions:
        return _config_without_model(args)
    weights = (args.weights or "").removeprefix("san://")
    if args.config_file is None and weights not in MODELS:
        raise UserError(
            f"--weights {args.weights} is none of the published models ({', '.join(MODELS)}): for "
            "weights of your own, give their config too, with --config-file"
            if args.weights
            else f"give --weights NAME, one of {', '.join(MODELS)}, or --config-file"
        )
    args.config_file = find_config(args.config_file or MODELS[weights].config)
    cfg = load_config(args.config_file, args.opts)
    if args.weights:
        cfg.MODEL.WEIGHTS = f"san://{weights}" if weights in MODELS else args.weights
    if names:
        cfg.DATASETS.TEST = tuple(names)
    if args.protocol is not None:
        cfg.TEST.PROTOCOL = args.protocol
    if args.output is not None:
        cfg.OUTPUT_DIR = args.output
    if not cfg.DATASETS.TEST:
        raise UserError(f"{args.config_file} names no DATASETS.TEST: give --datasets NAME ...")
    return cfg


def _config_without_model(args):
    from san.config import load_config

    for option in ("weights", "datasets", "protocol"):
        if getattr(args, option) is not None:
            raise UserError(
                f"--predictions {args.predictions} were made with a model on a data set: leave out "
                f"--{option}"
            )
    cfg = load_config(args.config_file or "", args.opts)
    cfg.OUTPUT_DIR = args.output or cfg.OUTPUT_DIR
    return cfg


def split_options(names, opts):
    """Tell the data sets of ``--datasets A B KEY VALUE`` from the options behind them.

    A key is what names one in the config by its look: upper case with a dot, or OUTPUT_DIR, SEED.

    Returns:
        tuple of two lists: names of data sets, KEY VALUE pairs.

    Raises:
        UserError: an option of the command is among the pairs.
    """
    keys = [i for i, name in enumerate(names) if _is_key(name)]
    end = keys[0] if keys else len(names)
    opts = [*names[end:], *opts]
    for option in opts:
        if option.startswith("--"):
            raise UserError(f"{option} stands behind {opts[0]}: KEY VALUE pairs come last")
    return names[:end], opts


def _is_key(name):
    return name in ("OUTPUT_DIR", "SEED") or ("." in name and name == name.upper())


def report(card, expected):
    """Print each figure of a card beside the expected one -> exit status, 1 if one is off."""
    from san.evaluation.expected import explain, verify

    lines = verify(card, expected)
    for note in explain(card, expected):
        print(f"note: {note}")
    for line in lines:
        actual = "none" if line.actual is None else f"{line.actual:.2f}"
        print(
            f"{'ok ' if line.ok else 'off'} {line.dataset} {line.metric} {actual}, expected "
            f"{line.expected:.2f} within {expected['tolerance']:g}"
        )
    off = sum(not line.ok for line in lines)
    print(f"{len(lines) - off} of {len(lines)} figures are as expected ({expected['origin']})")
    return 1 if off else 0
