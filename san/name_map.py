"""Parameter names of the official SAN and of this package, and the map between the two.

Official names: https://github.com/MendelXu/SAN, as in its released checkpoints
(``san_vit_b_16.pth``, ``san_vit_large_14.pth``).
"""

import re

import torch

from san.errors import UserError


def _same(*names):
    return {name: name for name in names}


_LINEAR = _same("weight", "bias")
_TIMM_BLOCK = _same(
    *("norm1.weight", "norm1.bias"),
    *("attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias"),
    *("norm2.weight", "norm2.bias"),
    *("mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"),
)
_CLIP_BLOCK = _same(
    *("ln_1.weight", "ln_1.bias"),
    *("attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias"),
    *("ln_2.weight", "ln_2.bias"),
    *("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
)
_CLIP_STEM = _same(
    *("class_embedding", "positional_embedding", "conv1.weight", "ln_pre.weight", "ln_pre.bias")
)
_SIDE_ADAPTER = {
    "query_embed": "query_embed",
    "query_pos_embed": "query_pos_embed",
    "vit_model.pos_embed": "pos_embed",
    "vit_model.patch_embed.proj.weight": "patch_embed.weight",
    "vit_model.patch_embed.proj.bias": "patch_embed.bias",
}
_FUSION = {
    "input_proj.0.weight": "norm.weight",
    "input_proj.0.bias": "norm.bias",
    "input_proj.1.weight": "proj.weight",
    "input_proj.1.bias": "proj.bias",
}
_TEXT_CLASSIFIER = {
    "positional_embedding": "text_encoder.positional_embedding",
    "text_projection": "text_encoder.text_projection",
    "logit_scale": "logit_scale",
    "bg_embed": "no_object_embed",
    "attn_mask": None,  # the causal mask: a constant, made again on export
}
_TEXT_TAIL = _same("token_embedding.weight", "ln_final.weight", "ln_final.bias")

_SIDE = "side_adapter_network."
_TEXT = "text_classifier.text_encoder."
NAME_MAP = (
    ("criterion.", "criterion.", {"empty_weight": "class_weight"}),
    (_SIDE, "side_adapter.", _SIDE_ADAPTER),
    (_SIDE + "vit_model.blocks.#.", "side_adapter.blocks.#.", _TIMM_BLOCK),
    (_SIDE + "fusion_layers.layer_#.", "side_adapter.fusion.#.", _FUSION),
    (_SIDE + "mask_decoder.query_mlp.layers.#.", "mask_decoder.query_mlp.layers.#.", _LINEAR),
    (_SIDE + "mask_decoder.pix_mlp.layers.#.", "mask_decoder.pixel_mlp.layers.#.", _LINEAR),
    (_SIDE + "mask_decoder.attn_mlp.layers.#.", "mask_decoder.attn_mlp.layers.#.", _LINEAR),
    (_SIDE + "mask_decoder.bias_scaling.", "mask_decoder.bias_scale.", _LINEAR),
    ("clip_visual_extractor.", "clip.", _CLIP_STEM),
    ("clip_visual_extractor.resblocks.#.", "clip.blocks.#.", _CLIP_BLOCK),
    ("clip_rec_head.", "mask_recognition.", {"proj": "proj", "sos_token": "sls_embed"}),
    ("clip_rec_head.resblocks.#.", "mask_recognition.blocks.#.", _CLIP_BLOCK),
    ("clip_rec_head.ln_post.", "mask_recognition.ln_post.", _LINEAR),
    ("ov_classifier.", "text_classifier.", _TEXT_CLASSIFIER),
    ("ov_classifier.transformer.resblocks.#.", _TEXT + "blocks.#.", _CLIP_BLOCK),
    ("ov_classifier.", _TEXT, _TEXT_TAIL),
)
"""(official prefix, our prefix, {official name: our name below the prefix}); ``#`` is a block's
number. Read top to bottom, it is also the order of the keys in an official checkpoint."""

ATTN_MASK = "ov_classifier.attn_mask"
_POSITIONS = _TEXT + "positional_embedding"  # (context length, width)
_OFFICIAL, _SAN = 0, 1  # columns of NAME_MAP


def is_official(state_dict):
    """Whether a state dict has the official SAN's names: one that only they have is enough."""
    ours = tuple(prefix for _, prefix, _ in NAME_MAP)
    official = tuple(prefix.partition("#")[0] for prefix, _, _ in NAME_MAP if prefix not in ours)
    return any(key.startswith(official) for key in state_dict)


def to_san(official):
    """Rename an official state dict; the tensors are shared and the order of the keys is kept.

    Raises a UserError for keys that have no place, and for a text attention mask other than the
    causal one, which is all that this package computes.
    """
    _check_known(official, _OFFICIAL, "an official SAN checkpoint")
    if ATTN_MASK in official:
        _check_causal(official[ATTN_MASK])
    return {_rename(key, _OFFICIAL): value for key, value in official.items() if key != ATTN_MASK}


def to_official(state_dict):
    """Rename a state dict of this package; the tensors are shared, the order is the official one.

    The text encoder's causal mask is made again, in the type of the encoder's position embedding.
    Raises a UserError for keys that have no place.
    """
    _check_known(state_dict, _SAN, "a SAN checkpoint of this package")
    official = {_rename(key, _SAN): value for key, value in state_dict.items()}
    if _POSITIONS in state_dict:
        positions = state_dict[_POSITIONS]
        official[ATTN_MASK] = causal_mask(len(positions), positions.dtype)
    return {key: official[key] for key in sorted(official, key=_official_order)}


def causal_mask(length, dtype=torch.float32):
    """(length, length): 0 on and below the diagonal, -inf above it."""
    return torch.full((length, length), float("-inf"), dtype=dtype).triu(1)


def _find(key, column):
    """Where the map has this key: (row, block numbers, place below the prefix), or None."""
    for row, rule in enumerate(NAME_MAP):
        prefix = re.match(re.escape(rule[column]).replace(r"\#", r"(\d+)"), key)
        names = [pair[column] for pair in rule[2].items()]
        if prefix and (name := key[prefix.end() :]) in names:
            return row, tuple(map(int, prefix.groups())), names.index(name)
    return None


def _rename(key, column):
    row, numbers, place = _find(key, column)
    prefix = NAME_MAP[row][1 - column]
    for number in numbers:
        prefix = prefix.replace("#", str(number), 1)
    return prefix + list(NAME_MAP[row][2].items())[place][1 - column]


def _official_order(key):
    return _find(key, _OFFICIAL)


def _check_known(state_dict, column, what):
    unknown = [key for key in state_dict if _find(key, column) is None]
    if unknown:
        more = f", and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        raise UserError(
            f"not {what}: it has {len(unknown)} keys that SAN does not have: "
            f"{', '.join(unknown[:10])}{more}"
        )


def _check_causal(mask):
    if mask.ndim != 2 or not torch.equal(mask, causal_mask(len(mask), mask.dtype)):
        raise UserError(
            f"{ATTN_MASK} is not the causal mask (0 on and below the diagonal, -inf above), so "
            "this checkpoint belongs to a text encoder that SAN does not have"
        )
