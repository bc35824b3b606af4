"""From a config to the parts of the dense methods: translates names, refuses what there is not."""

from san.errors import UserError

from ..backbone.clip import build_clip
from ..backbone.clip_vit import freeze
from ..background import Background
from ..dense_inference import DenseInference
from ..pamr import Pamr
from ..text.classifier import TextClassifier
from ..text.templates import get_templates


def dense_clip_from_config(cfg, build_clip_vit):
    """Keyword arguments of :class:`DenseCLIP` for a Detectron2 config.

    Args:
        build_clip_vit (callable): open_clip's vision tower -> DenseClipViT, with the method's last
            attention, whose own ``projections`` stay trainable; all else is frozen.

    Raises:
        UserError: a value that does not exist or does not fit the others, by the key's name.
    """
    node, san = cfg.MODEL.DENSE_CLIP, cfg.MODEL.SAN
    # A checkpoint holds CLIP too: then its own weights are not loaded, nor downloaded
    built = build_clip(
        san.CLIP_MODEL_NAME,
        san.CLIP_PRETRAINED_NAME,
        san.CLIP_ACTIVATION,
        load_weights=not cfg.MODEL.WEIGHTS,
    )
    clip = build_clip_vit(built.model.visual)
    freeze(clip, ["attention.projections"])
    return {
        "clip": clip,
        "text_classifier": TextClassifier(
            built.model, built.tokenizer, get_templates(san.CLIP_TEMPLATE_SET)
        ),
        "clip_activation": built.activation,
        "inference": _inference(node),
        "refinement": _refinement(node),
        "windows_per_batch": require(
            "MODEL.DENSE_CLIP.WINDOWS_PER_BATCH",
            node.WINDOWS_PER_BATCH,
            node.WINDOWS_PER_BATCH >= 1,
            "a number of windows from 1",
        ),
        "pixel_mean": [255.0 * x for x in built.pixel_mean],
        "pixel_std": [255.0 * x for x in built.pixel_std],
    }


def require(key, value, holds, what):
    """``value``, or a UserError that says what it can be where ``holds`` is false."""
    if not holds:
        raise UserError(f"{key} is {value!r}; it is {what}")
    return value


def _inference(node):
    key = "MODEL.DENSE_CLIP."
    window, stride = node.WINDOW, node.STRIDE
    require(f"{key}WINDOW", window, window >= 0, "a side in pixels, or 0 for the whole image")
    require(
        f"{key}STRIDE",
        stride,
        window == 0 or 1 <= stride <= window,
        f"a step in pixels, from 1 to MODEL.DENSE_CLIP.WINDOW {window}, to see every pixel",
    )
    scale = require(
        f"{key}LOGIT_SCALE",
        node.LOGIT_SCALE,
        node.LOGIT_SCALE >= 0,
        "a factor, or 0 for CLIP's own",
    )
    for name in ("SCORE_THRESHOLD", "AREA_THRESHOLD"):
        require(f"{key}{name}", node[name], 0 <= node[name] <= 1, "a share from 0 to 1")
    return DenseInference(
        window or None,
        stride if window else None,
        scale or None,
        Background(node.SCORE_THRESHOLD, node.AREA_THRESHOLD),
    )


def _refinement(node):
    steps, dilations = node.PAMR_STEPS, tuple(node.PAMR_DILATIONS)
    require("MODEL.DENSE_CLIP.PAMR_STEPS", steps, steps >= 0, "a number of steps, or 0 for none")
    require(
        "MODEL.DENSE_CLIP.PAMR_DILATIONS",
        dilations,
        dilations and all(isinstance(d, int) and d >= 1 for d in dilations),
        "a list of distances in pixels from 1",
    )
    return Pamr(steps, dilations)
