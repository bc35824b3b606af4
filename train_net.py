"""Train and evaluate.

    python train_net.py --config-file configs/san_clip_vit_res4_coco.yaml --num-gpus 8 KEY VALUE ...
    python train_net.py --config-file ... --resume
    python train_net.py --config-file ... --eval-only MODEL.WEIGHTS san://san_vit_b_16

``--num-gpus N MODEL.DEVICE cpu`` runs N processes on the CPU; torchrun works as well.
"""

# ruff: noqa: E402 (a filter comes before the imports that it is for)

import sys
import warnings

import san  # noqa: F401 (says what to run where Detectron2 is missing)

# fvcore, which Detectron2 imports, scripts its losses; nothing that a user could act on
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
# and open_clip gathers embeddings over processes by a function with a newer name
warnings.filterwarnings("ignore", "torch.distributed.nn.functional.all_gather", FutureWarning)

from detectron2.engine import default_argument_parser, default_setup
from detectron2.evaluation import verify_results
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from san.checkpoint import Checkpointer
from san.checks import check_test_datasets
from san.config import find_config, load_config
from san.engine import Trainer
from san.errors import UserError, exit_on_user_error
from san.launch import available_device, launch


def setup(args, cfg):
    """Finish the config of this process, and set up its loggers and random numbers."""
    device = cfg.MODEL.DEVICE
    cfg.MODEL.DEVICE = available_device(device)
    cfg.freeze()
    default_setup(cfg, args)
    logger = setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="san")
    if device != cfg.MODEL.DEVICE:
        logger.warning("MODEL.DEVICE is %s, but PyTorch sees no GPU: running on the CPU", device)


def evaluate(cfg, resume):
    """Evaluate MODEL.WEIGHTS, or the newest checkpoint of OUTPUT_DIR, on all of DATASETS.TEST."""
    check_test_datasets(cfg)
    model = Trainer.build_model(cfg)
    Checkpointer(model, cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=resume)
    results = Trainer.test(cfg, model)
    if cfg.TEST.AUG.ENABLED:
        results.update(Trainer.test_with_tta(cfg, model))
    if comm.is_main_process():
        verify_results(cfg, results)


def run(args, cfg):
    """What every process does."""
    setup(args, cfg)
    if args.eval_only:
        evaluate(cfg, args.resume)
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
