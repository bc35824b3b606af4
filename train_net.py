"""Train and evaluate.

    python train_net.py --config-file configs/san_clip_vit_res4_coco.yaml --num-gpus 8 KEY VALUE ...
    python train_net.py --config-file ... --resume
    python train_net.py --config-file ... --eval-only MODEL.WEIGHTS san://san_vit_b_16

``--num-gpus N MODEL.DEVICE cpu`` runs N processes on the CPU; torchrun works as well.
"""

# ruff: noqa: E402 (settings come before the imports that they are for)

import sys
import warnings

import san  # noqa: F401 (says what to run where Detectron2 is missing)
from san.threads import wait_asleep

wait_asleep()
# fvcore, which Detectron2 imports, scripts its losses; nothing that a user could act on
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
# and open_clip gathers embeddings over processes by a function with a newer name
warnings.filterwarnings("ignore", "torch.distributed.nn.functional.all_gather", FutureWarning)

from detectron2.engine import default_argument_parser

from san.config import find_config, load_config
from san.engine import Trainer
from san.errors import UserError, exit_on_user_error
from san.launch import launch, setup


def run(args, cfg):
    """What every process does."""
    setup(args, cfg)
    if args.eval_only:
        Trainer.evaluate(cfg, args.resume)
        return
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    trainer.train()


@exit_on_user_error
def main(argv=None):
    """The command; returns its exit status."""
    parser = default_argument_parser(epilog=__doc__)
    parser.set_defaults(dist_url="auto")
    args = parser.parse_args(argv)
    if not args.config_file:
        raise UserError("--config-file is missing, e.g. --config-file configs/quick/san_tiny.yaml")
    args.config_file = find_config(args.config_file)
    cfg = load_config(args.config_file, args.opts)
    launch(run, args, cfg.MODEL.DEVICE, (args, cfg))
    return 0


if __name__ == "__main__":
    sys.exit(main())
