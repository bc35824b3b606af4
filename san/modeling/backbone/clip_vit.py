"""CLIP's vision transformer (arXiv 2103.00020): cut in two, or whole with a new last attention.

The only file that touches the internals of open_clip's ``VisionTransformer``; ``text_encoder.py``
does so for the text tower.

B batch, N = 1 + h * w tokens, E width, n heads of d channels, D embedding, (h, w) grid of patches.
"""

from typing import NamedTuple

import torch
from torch import nn

from san.errors import UserError

from ..layers import call
from ..pos_embed import resize_pos_embed, window_pos_embed
from .clip_attention import (
    AttentionInputs,
    attend,
    finish_block,
    join_heads,
    plain_attention,
    project,
    run_block,
)


class ClipFeatures(NamedTuple):
    """What the shallow part of CLIP hands on."""

    tokens: torch.Tensor  # (B, 1 + h * w, E): [CLS], then patches, after the last block
    maps: dict  # {number of blocks passed: (B, h, w, E)}
    grid_size: tuple  # (h, w)


class ClipViT(nn.Module):
    """Patch embedding and the first blocks of CLIP's vision transformer, at any image size.

    Args:
        visual: open_clip's vision tower; its modules are used, not copied.
        num_blocks (int): how many blocks are kept; None: all.

    Raises:
        UserError: a tower of another build than the plain one with a [CLS] token.
    """

    recompute = False  # see `call`

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

    def embed(self, image, windows=None):
        """Normalized image (B, 3, H, W) -> tokens (B, 1 + h * w, E), grid (h, w).

        Args:
            windows (Tensor | None): (B, 3), where each image lies in the grid of positions, see
                `window_pos_embed`; None: all of them take up all of it.
        """
        x = self.conv1(image)  # (B, E, h, w); pixels that fill no patch are dropped
        grid = tuple(x.shape[-2:])
        x = x.flatten(2).transpose(1, 2)  # (B, h * w, E)
        cls_token = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)  # (B, 1, E)
        pos_embed = self.positional_embedding[None]  # (1, 1 + h * w, E), native grid
        if windows is None:
            pos_embed = resize_pos_embed(pos_embed, self.native_grid, grid, 1)
        else:
            pos_embed = window_pos_embed(pos_embed, self.native_grid, grid, windows, 1)
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
                x = call(run_block, self.blocks[i - 1], x, recompute=self.recompute)
            if i in layers:
                maps[i] = x[:, 1:].unflatten(1, grid)  # (B, h, w, E)
        return ClipFeatures(x, maps, grid)


class ImageEncoder(ClipViT):
    """CLIP's whole vision transformer: what open_clip's ``encode_image`` gives, for less.

    Only [CLS] is read, so the last block computes nothing of the patches but keys and values.

    Args:
        visual: open_clip's vision tower; its modules are used, not copied.

    Raises:
        UserError: see :class:`ClipViT`.
    """

    def __init__(self, visual):
        super().__init__(visual)
        self.ln_post = visual.ln_post
        self.proj = visual.proj  # (E, D)

    def forward(self, image, windows=None):
        """Normalized image (B, 3, H, W) -> (B, D), not normalized; windows: see ``embed``."""
        x, _ = self.embed(image, windows)
        for block in self.blocks[:-1]:
            x = run_block(block, x)
        last = self.blocks[-1]
        tokens = last.ln_1(x)
        (q,) = project(last.attn, tokens[:, :1], "q")  # (B, n, 1, d)
        k, v = project(last.attn, tokens, "kv")  # (B, n, N, d)
        x = finish_block(last, x[:, :1], attend(last.attn, q, k, v))  # (B, 1, E)
        return self.ln_post(x[:, 0]) @ self.proj


class DenseFeatures(NamedTuple):
    """What :class:`DenseClipViT` sees in an image; embeddings are not normalized."""

    cls_embed: torch.Tensor  # (B, D)
    patch_embeds: torch.Tensor  # (B, h * w, D), rows of the grid one after another
    keys: torch.Tensor  # (B, h * w, E), of the patches in the last block
    grid_size: tuple  # (h, w)


class DenseClipViT(ClipViT):
    """CLIP's whole vision transformer: an embedding of each patch, under a last attention of any
    kind; the residuals and the MLP of the last block stay.

    Args:
        visual: open_clip's vision tower; its modules are used, not copied.
        attention (callable): AttentionInputs -> (B, n, N, d), see ``clip_attention``.
        qk_block (int): block, from 1, whose queries and keys the attention is made of; 0: the last
            one, whose values it always takes.

    Raises:
        UserError: see :class:`ClipViT`.
    """

    def __init__(self, visual, attention=plain_attention, qk_block=0):
        super().__init__(visual)
        self.attention = attention
        self.qk_block = qk_block or len(self.blocks)
        self.ln_post = visual.ln_post
        self.proj = visual.proj  # (E, D)

    @property
    def patch_size(self):
        """(height, width) of a patch, in pixels."""
        return tuple(self.conv1.stride)

    def forward(self, image):
        """Normalized image (B, 3, H, W) -> DenseFeatures."""
        x, grid = self.embed(image)
        for i, block in enumerate(self.blocks[:-1], start=1):
            if i == self.qk_block:
                early = project(block.attn, block.ln_1(x), "qk")
            x = run_block(block, x)
        last = self.blocks[-1]
        tokens = last.ln_1(x)
        q, k, v = project(last.attn, tokens)
        keys = k[:, :, 1:].transpose(1, 2).flatten(2)  # (B, h * w, E)
        if self.qk_block < len(self.blocks):
            q, k = early
        attended = self.attention(AttentionInputs(tokens, q, k, v, grid))
        x = finish_block(last, x, join_heads(last.attn, attended))
        x = self.ln_post(x) @ self.proj  # (B, 1 + h * w, D)
        return DenseFeatures(x[:, 0], x[:, 1:], keys, grid)


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
