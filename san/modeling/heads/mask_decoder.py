"""Mask decoder: products of query and pixel embeddings are masks, and biases of CLIP's attention.

SAN (arXiv 2302.12242), Sec. 3.2: "decoupled" mask prediction and mask recognition, Eq. 1 and 2.

B batch, Q queries, S channels of the side adapter, C embedding channels, K hidden channels, (h, w)
grid, l layers and n heads of biases.
"""

import torch
from torch import nn

from ..layers import MLP


class MaskDecoder(nn.Module):
    """Three MLPs, and two inner products with one and the same query embedding.

    Args:
        in_channels (int): S.
        embed_channels, mlp_channels, mlp_num_layers (int): C, K, and depth of the MLPs.
        num_heads, num_layers (int): n and l, attention biases per query; n = 0: none are made.
        rescale_bias (bool): learn one scale and one offset for all biases.
    """

    def __init__(
        self,
        *,
        in_channels,
        embed_channels=256,
        mlp_channels=256,
        mlp_num_layers=3,
        num_heads=12,
        num_layers=1,
        rescale_bias=True,
    ):
        super().__init__()
        self.num_heads, self.num_layers = num_heads, num_layers
        sizes = in_channels, mlp_channels
        self.query_mlp = MLP(*sizes, embed_channels, mlp_num_layers)
        self.pixel_mlp = MLP(*sizes, embed_channels, mlp_num_layers, dense=True)
        if num_heads:
            attn_channels = embed_channels * num_heads * num_layers
            self.attn_mlp = MLP(*sizes, attn_channels, mlp_num_layers, dense=True)
            self.bias_scale = nn.Linear(1, 1) if rescale_bias else None

    def forward(self, queries, pixels):
        """Decode.

        Args:
            queries (Tensor): (B, Q, S).
            pixels (Tensor): (B, h, w, S).

        Returns:
            mask_logits (B, Q, h, w), attn_bias (B, h, w, l, n, Q) or None; with the queries
            last a CPU pools biases in a tenth of the time.
        """
        queries = self.query_mlp(queries)  # (B, Q, C)
        grid = pixels.shape[1:3]
        pixels = pixels.flatten(1, 2)  # (B, h * w, S)
        mask_logits = (queries @ self.pixel_mlp(pixels).mT).unflatten(2, grid)
        if not self.num_heads:
            return mask_logits, None
        return mask_logits, self._attn_bias(queries, pixels).unflatten(1, grid)

    def _attn_bias(self, queries, pixels):
        """(B, Q, C), (B, h * w, S) -> (B, h * w, l, n, Q).

        The last layer of the MLP would make C channels for each layer and head, only to be summed
        with the query: q . (W x + b) = (q W) . x + q . b needs a fraction of that.
        """
        hidden = self.attn_mlp.hidden(pixels)  # (B, h * w, K)
        last = self.attn_mlp.layers[-1]
        shape = (self.num_layers, self.num_heads, queries.shape[-1])
        weight = last.weight.flatten(1).unflatten(0, shape)  # (l, n, C, K)
        offset = last.bias.unflatten(0, shape)  # (l, n, C)
        folded = torch.einsum("bqc,lnck->blnqk", queries, weight).flatten(1, 3)
        offset = torch.einsum("bqc,lnc->blnq", queries, offset).flatten(1)
        if self.bias_scale is not None:
            scale, shift = self.bias_scale.weight.view(()), self.bias_scale.bias.view(())
            folded, offset = folded * scale, offset * scale + shift
        bias = torch.baddbmm(offset[:, None], hidden, folded.mT)  # (B, h * w, l * n * Q)
        return bias.unflatten(2, (*shape[:2], -1))
