"""The model of a setting, ready to be measured."""

import torch
from detectron2.modeling import build_model

from san.checkpoint import load_weights
from san.config import load_config
from san.errors import UserError
from san.modeling.meta_arch import SAN
from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor
from san.weights import MODELS

from .planted_text import PlantedText

_SEED = 0


def build_config(job, setting):
    """Config of a job, for one setting.

    Without weights the model gets random ones, CLIP too: nothing is downloaded.

    Raises:
        UserError: a config or key that does not exist.
    """
    opts = []
    if not job.weights:
        opts += ["MODEL.WEIGHTS", "", "MODEL.SAN.CLIP_PRETRAINED_NAME", ""]
    if setting.measure == "training":
        opts += ["MODEL.SAN.NUM_CLASSES", str(setting.num_words)]
    cfg = load_config(job.config_file, [*opts, *job.opts])
    if job.weights:
        known = job.weights.removeprefix("san://")
        cfg.MODEL.WEIGHTS = f"san://{known}" if known in MODELS else job.weights
    cfg.MODEL.DEVICE = setting.device
    return cfg


def build(cfg, image=None):
    """The model of a config; with random weights, it has `PlantedText`.

    Args:
        image (Tensor | None): (3, H, W) uint8, for words that fit what the model sees in it; None:
            the model keeps its own text classifier.

    Raises:
        UserError: a model that does not segment, weights or a device that cannot be used.
    """
    check_device(cfg.MODEL.DEVICE)
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        model = build_model(cfg)
    if not isinstance(model, OpenVocabSegmentor):
        raise UserError(
            f"MODEL.META_ARCHITECTURE {cfg.MODEL.META_ARCHITECTURE!r} cannot be measured: it does "
            "not segment images"
        )
    if cfg.MODEL.WEIGHTS:
        load_weights(model, cfg.MODEL.WEIGHTS)
    elif image is not None and not cfg.MODEL.SAN.CLIP_PRETRAINED_NAME:
        targets = _proposal_embeds(model.eval(), image) if isinstance(model, SAN) else None
        model.text_classifier = PlantedText(model.text_classifier, targets).to(model.device)
    return model


def check_device(device):
    """Raise UserError for a device that PyTorch cannot use."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {device} cannot be used ({reason}): try cpu") from None


@torch.no_grad()
def _proposal_embeds(model, image):
    """(Q, D), what words would have to be like to fit the proposals in an image."""
    images = model.preprocess_image([{"image": image}])
    return model.propose(images.tensor)[1][-1, 0]
