"""Mask recognition: CLIP's deep blocks recognize each proposal under its attention bias.

SAN (arXiv 2302.12242), Sec. 3.3 and Fig. 5: copies of CLIP's [CLS] token, the [SLS] tokens, one for
each query, attend to the image with a bias that steers them to their own mask. Each sees itself and
the patches, never the other [SLS] tokens or [CLS]; nothing sees them. So the image's tokens go
through the deep blocks once, as in plain CLIP, for all supervised levels.

B batch, T supervised levels, Q queries, E width, (h, w) CLIP's grid, L = h * w, n heads,
D embedding.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..backbone.clip_attention import attend, finish_block, project, run_block
from ..layers import call

POOLS = {
    "max": F.adaptive_max_pool2d,
    "avg": F.adaptive_avg_pool2d,
    "bilinear": lambda x, size: F.interpolate(x, size, mode="bilinear", align_corners=False),
    "bicubic": lambda x, size: F.interpolate(x, size, mode="bicubic", align_corners=False),
    "nearest": lambda x, size: F.interpolate(x, size, mode="nearest"),
}
SLS_FORMATS = ("cls_token", "learnable_token", "pos_embedding")


class MaskRecognition(nn.Module):
    """Deep part of CLIP with [SLS] tokens.

    Args:
        blocks (nn.ModuleList): deep blocks of CLIP.
        ln_post, proj: CLIP's final norm, and its projection (E, D).
        num_queries (int): Q.
        sls_format (str): what an [SLS] token starts from: "cls_token", "learnable_token", or
            "pos_embedding", the sum of both.
        pool (str): how biases come to CLIP's grid, a key of ``POOLS``.
    """

    recompute = False  # see `call`

    def __init__(self, *, blocks, ln_post, proj, num_queries, sls_format="cls_token", pool="max"):
        super().__init__()
        self.blocks, self.ln_post, self.proj = blocks, ln_post, proj
        self.num_queries, self.sls_format, self.pool = num_queries, sls_format, pool
        if sls_format != "cls_token":
            self.sls_embed = nn.Parameter(torch.randn(num_queries, 1, proj.shape[0]) * 0.02)

    @property
    def num_heads(self):
        """n, heads of CLIP's attention."""
        return self.blocks[0].attn.num_heads

    def forward(self, tokens, grid_size, attn_bias):
        """Recognize the masks.

        Args:
            tokens (Tensor): (B, 1 + L, E), CLIP's tokens before the deep blocks, [CLS] first.
            grid_size (tuple[int, int]): (h, w).
            attn_bias (Tensor): (T, B, h', w', l, n, Q), at the grid of the side adapter; l is 1 or
                the number of blocks, n is 1 or the number of heads.

        Returns:
            Tensor: mask_embeds (T, B, Q, D), unit norm.
        """
        num_levels = len(attn_bias)
        bias = self._bias_of_blocks(attn_bias, grid_size)  # l times (T * B, n, Q, Q + L)
        sls = self._sls_tokens(tokens[:, :1]).repeat(num_levels, 1, 1)  # (T * B, Q, E)
        for i, block in enumerate(self.blocks):
            now = bias[i % len(bias)]
            sls = call(self._recognize, block, sls, tokens, now, recompute=self.recompute)
            if i + 1 < len(self.blocks):
                tokens = call(run_block, block, tokens, recompute=self.recompute)
        mask_embeds = F.normalize(self.ln_post(sls) @ self.proj, dim=-1)
        return mask_embeds.unflatten(0, (num_levels, -1))

    def _sls_tokens(self, cls_token):
        """[CLS] (B, 1, E) -> (B, Q, E)."""
        if self.sls_format == "cls_token":
            return cls_token.expand(-1, self.num_queries, -1)
        learned = self.sls_embed.transpose(0, 1)  # (1, Q, E)
        if self.sls_format == "learnable_token":
            return learned.expand(len(cls_token), -1, -1)
        return cls_token + learned

    def _bias_of_blocks(self, attn_bias, grid_size):
        """Biases at CLIP's grid, with what makes an [SLS] token see itself alone in front."""
        maps = attn_bias.flatten(0, 1).flatten(3).permute(0, 3, 1, 2)  # (T * B, l * n * Q, h', w')
        pooled = POOLS[self.pool](maps, tuple(grid_size)).flatten(2)  # (T * B, l * n * Q, L)
        pooled = pooled.unflatten(1, attn_bias.shape[4:])  # (T * B, l, n, Q, L)
        num_queries = pooled.shape[3]
        itself = pooled.new_full((num_queries, num_queries), float("-inf")).fill_diagonal_(0)
        itself = itself.expand(*pooled.shape[:3], -1, -1)  # (T * B, l, n, Q, Q)
        return torch.cat([itself, pooled], dim=-1).unbind(1)

    def _recognize(self, block, sls, tokens, bias):
        """One block for the [SLS] tokens: sls (T * B, Q, E), tokens (B, 1 + L, E) -> sls."""
        q, sls_k, sls_v = project(block.attn, block.ln_1(sls))  # (T * B, n, Q, d)
        k, v = project(block.attn, block.ln_1(tokens[:, 1:]), "kv")  # (B, n, L, d)
        num_levels = len(sls) // len(tokens)
        k = torch.cat([sls_k, k.repeat(num_levels, 1, 1, 1)], dim=2)  # (T * B, n, Q + L, d)
        v = torch.cat([sls_v, v.repeat(num_levels, 1, 1, 1)], dim=2)
        return finish_block(block, sls, attend(block.attn, q, k, v, bias))
