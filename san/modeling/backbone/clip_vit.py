"""CLIP's vision transformer (arXiv 2103.00020), cut in two: shallow blocks, and what comes after.

The only file that touches the internals of open_clip's ``VisionTransformer``; ``text_encoder.py``
does so for the text tower.

B batch, E width, (h, w) grid of patches.
"""

from typing import NamedTuple

import torch
from torch import nn

from san.errors import UserError

from ..pos_embed import resize_pos_embed
from .clip_attention import run_block


class ClipFeatures(NamedTuple):
    """What the shallow part of CLIP hands on."""

    tokens: torch.Tensor  # (B, 1 + h * w, E): [CLS], then patches, after the last block
    maps: dict  # {number of blocks passed: (B, E, h, w)}
    grid_size: tuple  # (h, w)


class ClipViT(nn.Module):
    """Patch embedding and the first blocks of CLIP's vision transformer, at any image size.

    Args:
        visual: open_clip's vision tower; its modules are used, not copied.
        num_blocks (int): how many blocks are kept; None: all.

    Raises:
        UserError: a tower of another build than the plain one with a [CLS] token.
    """

    def __init__(self, visual, num_blocks=None):
        super().__init__()
        _check_plain(visual)
        self.native_grid = tuple(visual.grid_size)
        self.conv1 = visual.conv1
        self.class_embedding = visual.class_embedding  # (E,)
        self.positional_embedding = visual.positional_embedding  # (1 + h * w, E), native grid
        self.ln_pre = visual.ln_pre
        self.blocks = visual.transformer.resblocks[:num_blocks]

    @property
    def width(self):
        """E, channels of the tokens."""
        return self.class_embedding.shape[0]

    def embed(self, image):
        """Normalized image (B, 3, H, W) -> tokens (B, 1 + h * w, E), grid (h, w)."""
        x = self.conv1(image)  # (B, E, h, w); pixels that fill no patch are dropped
        grid = tuple(x.shape[-2:])
        x = x.flatten(2).transpose(1, 2)  # (B, h * w, E)
        cls_token = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)  # (B, 1, E)
        pos_embed = resize_pos_embed(self.positional_embedding[None], self.native_grid, grid, 1)
        return self.ln_pre(torch.cat([cls_token, x], dim=1) + pos_embed), grid

    def forward(self, image, layers=()):
        """Run the blocks.

        Args:
            image (Tensor): (B, 3, H, W), normalized.
            layers (collection[int]): which maps to keep; 0 is the input of the first block.

        Returns:
            ClipFeatures
        """
        x, grid = self.embed(image)
        maps = {}
        for i in range(len(self.blocks) + 1):
            if i > 0:
                x = run_block(self.blocks[i - 1], x)
            if i in layers:
                maps[i] = x[:, 1:].transpose(1, 2).unflatten(2, grid)  # (B, E, h, w)
        return ClipFeatures(x, maps, grid)


def deep_part(visual, num_shallow):
    """What :class:`ClipViT` leaves out: the deeper blocks, final norm and projection (E, D)."""
    return visual.transformer.resblocks[num_shallow:], visual.ln_post, visual.proj


def freeze(module, exclude):
    """Stop training all parameters of ``module`` whose name contains no part of ``exclude``.

    Args:
        exclude (list[str]): parts of names, blocks under open_clip's name "resblocks"; "all" trains
            everything.
    """
    for name, parameter in module.named_parameters():
        name = name.replace("blocks.", "resblocks.")
        parameter.requires_grad_("all" in exclude or any(part in name for part in exclude))


def _check_plain(visual):
    plain = (
        type(visual).__name__ == "VisionTransformer"
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and not visual.final_ln_after_pool
        and isinstance(visual.patch_dropout, nn.Identity)
        and all(isinstance(b.attn, nn.MultiheadAttention) for b in visual.transformer.resblocks)
    )
    if not plain:
        raise UserError(
            "MODEL.SAN.CLIP_MODEL_NAME: this CLIP's vision tower is not a plain ViT with a [CLS] "
            "token and standard attention, as that of ViT-B-16, ViT-L-14 or ViT-L-14-336 is"
        )
