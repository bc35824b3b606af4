"""Mask pooling: recognition without attention biases, what SAN is compared with.

SAN (arXiv 2302.12242) steers a copy of [CLS] through CLIP's deep blocks for each mask. Without the
biases all copies would be one; masks can then but average what CLIP gives for the patches, as in
OpenSeg (arXiv 2112.12143), Sec. 3.2.

B batch, T supervised levels, Q queries, E width, (h, w) CLIP's grid, L = h * w, D embedding.
"""

from torch import nn
from torch.nn import functional as F

from ..backbone.clip_attention import run_block
from ..layers import call


class MaskPooling(nn.Module):
    """Deep part of CLIP, its output averaged over each mask.

    Args:
        blocks (nn.ModuleList): deep blocks of CLIP.
        ln_post, proj: CLIP's final norm, and its projection (E, D).
    """

    recompute = False  # see `call`

    def __init__(self, *, blocks, ln_post, proj):
        super().__init__()
        self.blocks, self.ln_post, self.proj = blocks, ln_post, proj

    def forward(self, tokens, grid_size, mask_logits):
        """Recognize the masks.

        Args:
            tokens (Tensor): (B, 1 + L, E), CLIP's tokens before the deep blocks, [CLS] first.
            grid_size (tuple[int, int]): (h, w).
            mask_logits (Tensor): (T, B, Q, h', w'), at the grid of the side adapter.

        Returns:
            Tensor: mask_embeds (T, B, Q, D), unit norm.
        """
        for block in self.blocks:
            tokens = call(run_block, block, tokens, recompute=self.recompute)
        embeds = self.ln_post(tokens[:, 1:]) @ self.proj  # (B, L, D)
        masks = F.adaptive_avg_pool2d(mask_logits.sigmoid().flatten(0, 1), tuple(grid_size))
        masks = masks.flatten(2).unflatten(0, mask_logits.shape[:2])  # (T, B, Q, L)
        # The norm divides by the mask's area too
        return F.normalize(masks @ embeds, dim=-1)
