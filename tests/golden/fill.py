"""Deterministic, name-addressed weights, images and targets for parity checks.

Nothing here imports Detectron2, open_clip, timm or the official SAN code: only torch and the
standard library.  A re-implementation can therefore import this file and reproduce the exact
inputs that the golden files were made from.

Everything is addressed by a *string name*.  A name is hashed with zlib.crc32 and the value seeds
a fresh CPU ``torch.Generator``; so the order in which things are asked for never matters.

    sd = model.state_dict()            # OFFICIAL names (see keys_*.json)
    fill_state_dict(sd)                # in place; floating tensors only
    model.load_state_dict(sd)

``fill_checksums`` gives (sum, first, last) for each tensor.  Compare it with the arrays
``fill_check`` of the golden file *first*: if it differs, the random stream is not the same and
nothing after it can agree.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence

import torch

# ---------------------------------------------------------------------------------- primitives

_rand = torch.rand  # bound here: callers may replace torch.rand by `uniform` itself


def generator(name: str) -> torch.Generator:
    g = torch.Generator(device="cpu")
    g.manual_seed(zlib.crc32(name.encode("utf-8")))
    return g


def normal(name: str, shape: Sequence[int]) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=generator(name), dtype=torch.float32)


def uniform(name: str, shape: Sequence[int]) -> torch.Tensor:
    """[0, 1) numbers; stands in for torch.rand in the deterministic training variant."""
    return _rand(tuple(shape), generator=generator(name), dtype=torch.float32)


def randint(name: str, high: int, shape: Sequence[int]) -> torch.Tensor:
    return torch.randint(0, high, tuple(shape), generator=generator(name), dtype=torch.int64)


# ------------------------------------------------------------------------------------- weights

# Tensors that are NOT filled (they are constants of the architecture, not weights).
KEEP = ("ov_classifier.attn_mask", "criterion.empty_weight")

# Standard deviations of the embeddings.  Larger than the usual 0.02 on purpose: a mistake in the
# resizing or in the order of a position embedding must move the outputs visibly.
_EMBED_STD = {
    "ov_classifier.token_embedding.weight": 0.5,
    "ov_classifier.positional_embedding": 0.1,
    "clip_visual_extractor.class_embedding": 0.5,
    "clip_visual_extractor.positional_embedding": 0.3,
    "side_adapter_network.query_embed": 0.5,
    "side_adapter_network.query_pos_embed": 0.3,
    "side_adapter_network.vit_model.pos_embed": 0.3,
    "clip_rec_head.sos_token": 0.5,
}


def _gain(name: str, fan_in: int) -> float:
    """Extra factor on 1/sqrt(fan_in), so that tokens, words and queries stay distinguishable.

    With plain 1/sqrt(fan_in) everywhere all SOS tokens end up with a cosine of 0.99 to each other
    and the arg-max is one class for the whole image: a golden that would forgive many mistakes.
    """
    if ".mask_decoder." in name and name.endswith("_mlp.layers.2.weight"):
        return 4.8 / math.sqrt(fan_in)  # mask logits and attention biases: std of a few units
    late = name.startswith("clip_rec_head.") or name.startswith("ov_classifier.")
    if name.endswith("attn.in_proj_weight"):
        return 2.5 if late else 1.5
    if name.endswith("attn.out_proj.weight"):
        return 3.0 if late else 0.3
    if name.endswith("mlp.c_proj.weight"):
        return 0.3  # else the mean of the activation swamps the residual stream in 24 layers
    return 1.0


def fill_value(name: str, shape: Sequence[int]) -> torch.Tensor:
    """The value of the official parameter ``name`` (float32)."""
    shape = tuple(shape)
    n = normal(name, shape)
    if name.endswith("logit_scale"):
        return torch.full(shape, math.log(100.0))
    if name in _EMBED_STD:
        return _EMBED_STD[name] * n
    if name == "ov_classifier.bg_embed":
        return n / math.sqrt(shape[-1])
    if name in ("clip_rec_head.proj", "ov_classifier.text_projection"):
        return n / math.sqrt(shape[0])  # used as x @ proj: fan_in is the first dimension
    if name.endswith("mask_decoder.bias_scaling.weight"):
        return 1.0 + 0.1 * n
    if len(shape) >= 2:
        fan_in = math.prod(shape[1:])
        return _gain(name, fan_in) * n / math.sqrt(fan_in)
    if name.endswith(".weight"):  # 1-d weight: a LayerNorm
        return 1.0 + 0.02 * n
    return 0.02 * n  # biases


@torch.no_grad()
def fill_state_dict(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for name, t in state_dict.items():
        if name in KEEP or not t.is_floating_point():
            continue
        t.copy_(fill_value(name, t.shape).to(t.dtype))
    return state_dict


def fill_checksums(state_dict: dict[str, torch.Tensor]) -> tuple[list[str], torch.Tensor]:
    """Sorted names, and a [n, 3] float64 tensor of (sum, first, last) of each filled tensor."""
    names = sorted(k for k, v in state_dict.items() if v.is_floating_point() and k not in KEEP)
    rows = []
    for k in names:
        v = state_dict[k].detach().cpu().double().reshape(-1)
        rows.append([v.sum().item(), v[0].item(), v[-1].item()])
    return names, torch.tensor(rows, dtype=torch.float64)


# ------------------------------------------------------------------------------ images, targets


def _kron(t: torch.Tensor, k: int, h: int, w: int) -> torch.Tensor:
    return t.repeat_interleave(k, -2).repeat_interleave(k, -1)[..., :h, :w]


def make_image(name: str, h: int, w: int) -> torch.Tensor:
    """[3, h, w] uint8 image; integer arithmetic only (blocks of 64 and 16 pixels, and noise)."""

    def grid(k, high, tag):
        return _kron(randint(f"{name}/{tag}", high, (3, -(-h // k), -(-w // k))), k, h, w)

    img = grid(64, 128, "coarse") + grid(16, 80, "fine") + randint(f"{name}/noise", 48, (3, h, w))
    return img.clamp(0, 255).to(torch.uint8)


def make_label_map(
    name: str, h: int, w: int, classes: Sequence[int], block: int = 80, ignore: int = 255
) -> torch.Tensor:
    """[h, w] int64 map of blocks, each one of ``classes`` or ``ignore``; every class occurs."""
    gh, gw = -(-h // block), -(-w // block)
    table = torch.tensor([*list(classes), ignore], dtype=torch.int64)
    idx = randint(f"{name}/labels", len(table), (gh, gw))
    idx.view(-1)[: len(classes)] = torch.arange(len(classes))
    return _kron(table[idx], block, h, w)


def make_targets(
    name: str, h: int, w: int, classes: Sequence[int], block: int = 80
) -> tuple[torch.Tensor, torch.Tensor]:
    """gt_classes [N] (sorted) and gt_masks [N, h, w] bool, as the official mapper makes them."""
    lab = make_label_map(name, h, w, classes, block)
    cls = torch.tensor(sorted(set(lab.unique().tolist()) - {255}), dtype=torch.int64)
    return cls, torch.stack([lab == c for c in cls])


def rand_names(case: str, batch: int, outputs: Iterable[str] = ("last", "aux0")) -> list[str]:
    """Names of the random draws of one official criterion call, in the official call order.

    Official order: for the last output, then for each auxiliary output: one draw per image of the
    matcher, shape (1, P, 2); the over-sampled points of all matched masks, (N, 3P, 2); the purely
    random rest, (N, P - int(0.75 P), 2).
    """
    out = []
    for o in outputs:
        out += [f"{case}/rand/{o}/match/{b}" for b in range(batch)]
        out += [f"{case}/rand/{o}/over", f"{case}/rand/{o}/extra"]
    return out


# 16 names used by most cases ("wall-brick" and "traffic light" exercise the tokenizer).
VOCAB16 = [
    "cat",
    "dog",
    "grass",
    "sky",
    "traffic light",
    "person",
    "car",
    "building",
    "tree",
    "road",
    "water",
    "dining table",
    "teddy bear",
    "playing field",
    "wall-brick",
    "river",
]

# Strings for the tokenizer golden.
TOKENIZER_PROBES = [
    "a photo of a cat.",
    "There is a small traffic light in the scene.",
    "This is a photo of a medium wall-brick.",
    "caf\u00e9 au lait",
    "  Double   spaces\tand tabs ",
    "don't we'll I'M",
    "3.14 and 2023",
    "HTML &amp; entities &lt;b&gt;",
    "adding machine, totalizer, totaliser",
    "\u65e5\u672c\u8a9e emoji \U0001f600",
    "",
    "long " * 100,
]
