"""From a config to the parts of SAN: translates names, refuses what there is not."""

import re

from san.errors import UserError

from ..backbone.clip import build_clip
from ..backbone.clip_vit import ClipViT, deep_part, freeze
from ..backbone.side_adapter import SideAdapterNetwork
from ..criterion import SetCriterion
from ..heads.mask_decoder import MaskDecoder
from ..heads.mask_pooling import MaskPooling
from ..heads.mask_recognition import POOLS, SLS_FORMATS, MaskRecognition
from ..text.classifier import TextClassifier
from ..text.templates import get_templates


def san_from_config(cfg):
    """Keyword arguments of :class:`SAN` for a Detectron2 config.

    Raises:
        UserError: a value that does not exist or does not fit the others, by the key's name.
    """
    _check(cfg)
    node = cfg.MODEL.SAN
    # A checkpoint holds CLIP too: then its own weights are not loaded, nor downloaded
    built = build_clip(
        node.CLIP_MODEL_NAME,
        node.CLIP_PRETRAINED_NAME,
        node.CLIP_ACTIVATION,
        load_weights=not cfg.MODEL.WEIGHTS,
    )
    clip = ClipViT(built.model.visual, num_shallow(node, built.model.visual))
    freeze(clip, node.CLIP_FROZEN_EXCLUDE)
    recognition = _build_recognition(cfg, built.model.visual)
    side_adapter, mask_decoder = _build_side_adapter(cfg, clip.width)
    return {
        "clip": clip,
        "side_adapter": side_adapter,
        "mask_decoder": mask_decoder,
        "mask_recognition": recognition,
        "text_classifier": TextClassifier(
            built.model, built.tokenizer, get_templates(node.CLIP_TEMPLATE_SET), with_no_object=True
        ),
        "criterion": _build_criterion(node),
        "clip_activation": built.activation,
        "pixel_mean": [255.0 * x for x in built.pixel_mean],
        "pixel_std": [255.0 * x for x in built.pixel_std],
        "size_divisibility": node.SIZE_DIVISIBILITY,
        "clip_input_scale": node.CLIP_RESOLUTION if node.ASYMETRIC_INPUT else 1.0,
        "resize_masks_first": node.SEM_SEG_POSTPROCESS_BEFORE_INFERENCE,
        "gradient_checkpointing": node.GRADIENT_CHECKPOINTING,
    }


def _check(cfg):
    san, side = cfg.MODEL.SAN, cfg.MODEL.SIDE_ADAPTER
    _one_of("MODEL.SIDE_ADAPTER.NAME", side.NAME, ["RegionwiseSideAdapterNetwork"])
    _one_of("MODEL.SIDE_ADAPTER.FUSION_TYPE", side.FUSION_TYPE, ["add"])
    _one_of("MODEL.SIDE_ADAPTER.PRETRAINED", side.PRETRAINED, [False])
    _one_of("MODEL.SAN.RECOGNITION", san.RECOGNITION, ["attn_bias", "mask_pooling"])
    _one_of("MODEL.SAN.SOS_TOKEN_FORMAT", san.SOS_TOKEN_FORMAT, SLS_FORMATS)
    _one_of("MODEL.SAN.REC_DOWNSAMPLE_METHOD", san.REC_DOWNSAMPLE_METHOD, POOLS)
    if san.CLIP_RESOLUTION <= 0:
        raise UserError(
            f"MODEL.SAN.CLIP_RESOLUTION is {san.CLIP_RESOLUTION}; it is a scale above 0"
        )
    if san.SIZE_DIVISIBILITY < 1:
        raise UserError(f"MODEL.SAN.SIZE_DIVISIBILITY is {san.SIZE_DIVISIBILITY}; it is 1 or more")


def _one_of(key, value, choices):
    if value not in choices:
        raise UserError(f"{key} is {value!r}; it can be {' or '.join(map(repr, choices))}")


def num_shallow(node, visual):
    """MODEL.SAN.FEATURE_LAST_LAYER_IDX, how many blocks of CLIP are shallow.

    Raises:
        UserError: this CLIP has too few.
    """
    num_blocks = len(visual.transformer.resblocks)
    if not 1 <= node.FEATURE_LAST_LAYER_IDX < num_blocks:
        raise UserError(
            f"MODEL.SAN.FEATURE_LAST_LAYER_IDX is {node.FEATURE_LAST_LAYER_IDX}; "
            f"{node.CLIP_MODEL_NAME} has {num_blocks} blocks, so it can be 1 to {num_blocks - 1}"
        )
    return node.FEATURE_LAST_LAYER_IDX


def _build_recognition(cfg, visual):
    node, bias = cfg.MODEL.SAN, cfg.MODEL.SIDE_ADAPTER.ATTN_BIAS
    blocks, ln_post, proj = deep_part(visual, node.FEATURE_LAST_LAYER_IDX)
    if node.RECOGNITION == "mask_pooling":
        recognition = MaskPooling(blocks=blocks, ln_post=ln_post, proj=proj)
        freeze(recognition, node.CLIP_DEEPER_FROZEN_EXCLUDE)
        return recognition
    recognition = MaskRecognition(
        blocks=blocks,
        ln_post=ln_post,
        proj=proj,
        num_queries=cfg.MODEL.SIDE_ADAPTER.NUM_QUERIES,
        sls_format=node.SOS_TOKEN_FORMAT,
        pool=node.REC_DOWNSAMPLE_METHOD,
    )
    key = "MODEL.SIDE_ADAPTER.ATTN_BIAS"
    _one_of(f"{key}.NUM_HEADS", bias.NUM_HEADS, [1, recognition.num_heads])
    _one_of(f"{key}.NUM_LAYERS", bias.NUM_LAYERS, [1, len(blocks)])
    freeze(recognition, [*node.CLIP_DEEPER_FROZEN_EXCLUDE, "sls_embed"])
    return recognition


def _build_side_adapter(cfg, clip_width):
    node = cfg.MODEL.SIDE_ADAPTER
    bias = node.ATTN_BIAS
    vit = _parse_vit_name(node.VIT_NAME)
    side_adapter = SideAdapterNetwork(
        **vit,
        image_size=node.IMAGE_SIZE,
        num_queries=node.NUM_QUERIES,
        clip_width=clip_width,
        fusion_map=_parse_fusion_map(node, vit["depth"], cfg.MODEL.SAN.FEATURE_LAST_LAYER_IDX),
        supervised=_check_supervised(node, vit["depth"]),
        drop_path_rate=node.DROP_PATH_RATE,
    )
    mask_decoder = MaskDecoder(
        in_channels=vit["width"],
        embed_channels=bias.EMBED_CHANNELS,
        mlp_channels=bias.MLP_CHANNELS,
        mlp_num_layers=bias.MLP_NUM_LAYERS,
        num_heads=bias.NUM_HEADS if cfg.MODEL.SAN.RECOGNITION == "attn_bias" else 0,
        num_layers=bias.NUM_LAYERS,
        rescale_bias=bias.RESCALE_ATTN_BIAS,
    )
    return side_adapter, mask_decoder


def _parse_vit_name(name):
    match = re.fullmatch(r"vit_w(\d+)n(\d+)d(\d+)_patch(\d+)", name)
    if not match or int(match[1]) % int(match[2]):
        raise UserError(
            f"MODEL.SIDE_ADAPTER.VIT_NAME is {name!r}; it is vit_w<width>n<heads>d<depth>_patch"
            "<size>, as vit_w240n6d8_patch16, and the width is a multiple of the heads"
        )
    keys = "width", "num_heads", "depth", "patch_size"
    return dict(zip(keys, map(int, match.groups()), strict=True))


def _parse_fusion_map(node, depth, num_shallow):
    """["3->1", ...] -> {1: 3, ...}: side block <- CLIP block."""
    fusion_map = {}
    for entry in node.FUSION_MAP:
        match = re.fullmatch(r"\s*(\d+)\s*->\s*(\d+)\s*", str(entry))
        clip_block, side_block = map(int, match.groups()) if match else (-1, -1)
        if not (0 <= clip_block <= num_shallow and 0 <= side_block <= depth):
            raise UserError(
                f"MODEL.SIDE_ADAPTER.FUSION_MAP: {entry!r} is not 'CLIP block->side block' with 0 "
                f"to {num_shallow} and 0 to {depth}"
            )
        if side_block in fusion_map:
            raise UserError(f"MODEL.SIDE_ADAPTER.FUSION_MAP: side block {side_block} stands twice")
        fusion_map[side_block] = clip_block
    return fusion_map


def _check_supervised(node, depth):
    supervised = sorted(set(node.DEEP_SUPERVISION_IDXS))
    if not supervised or not (supervised[0] >= 1 and supervised[-1] <= depth):
        raise UserError(
            f"MODEL.SIDE_ADAPTER.DEEP_SUPERVISION_IDXS is {list(node.DEEP_SUPERVISION_IDXS)}; it "
            f"is a list of blocks, 1 to {depth}"
        )
    return supervised


def _build_criterion(node):
    return SetCriterion(
        num_classes=node.NUM_CLASSES,
        weights={
            "loss_ce": node.CLASS_WEIGHT,
            "loss_mask": node.MASK_WEIGHT,
            "loss_dice": node.DICE_WEIGHT,
        },
        no_object_weight=node.NO_OBJECT_WEIGHT,
        num_points=node.TRAIN_NUM_POINTS,
        oversample_ratio=node.OVERSAMPLE_RATIO,
        importance_sample_ratio=node.IMPORTANCE_SAMPLE_RATIO,
        exclude_ignored=node.EXCLUDE_IGNORED,
    )
