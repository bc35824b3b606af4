"""Attention over the parameters of an open_clip block, as functions.

The four attributes ``in_proj_weight``, ``in_proj_bias``, ``out_proj`` and ``num_heads`` are all
that is used of a block's attention; every version of open_clip has them. Batch first throughout.

B batch, N tokens, E width, n heads, d = E / n, (h, w) grid of patches with N = 1 + h * w.

The second half is what methods without training put in place of the last block's attention: each
is a function of :class:`AttentionInputs` that gives (B, n, N, d), before the output projection.
"""

from typing import NamedTuple

import torch
from torch.nn import functional as F

from ..layers import split_heads


def project(attn, x, parts="qkv"):
    """Queries, keys and values of ``x``, split into heads.

    Args:
        attn: attention of an open_clip block.
        x (Tensor): (B, N, E), normalized already.
        parts (str): neighbouring letters of "qkv", e.g. "kv".

    Returns:
        tuple[Tensor]: one (B, n, N, d) for each letter.
    """
    width = x.shape[-1]
    first = "qkv".index(parts) * width
    rows = slice(first, first + len(parts) * width)
    y = F.linear(x, attn.in_proj_weight[rows], attn.in_proj_bias[rows])  # (B, N, len(parts) * E)
    return split_heads(y, len(parts), attn.num_heads)


def attend(attn, q, k, v, bias=None, is_causal=False):
    """softmax(q k^T / sqrt(d) + bias) v, heads joined, through the output projection.

    Args:
        q, k, v (Tensor): (B, n, N, d), (B, n, S, d), (B, n, S, d).
        bias (Tensor): added before the softmax; broadcast to (B, n, N, S).

    Returns:
        Tensor: (B, N, E).
    """
    if bias is not None:
        bias = bias.to(q.dtype)
        if bias.requires_grad and q.is_cuda:  # else a bias alone has no gradient: pytorch#148476
            q = q if q.requires_grad else q.detach().requires_grad_()
    x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=is_causal)
    return join_heads(attn, x)


def join_heads(attn, x):
    """Output projection: (B, n, N, d) -> (B, N, E)."""
    return attn.out_proj(x.transpose(1, 2).flatten(2))


def finish_block(block, x, attended):
    """The rest of a pre-norm block after its attention: both residuals and the MLP."""
    x = x + block.ls_1(attended)
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def run_block(block, x, is_causal=False):
    """An ordinary block: x (B, N, E) -> (B, N, E)."""
    attended = attend(block.attn, *project(block.attn, block.ln_1(x)), is_causal=is_causal)
    return finish_block(block, x, attended)


class AttentionInputs(NamedTuple):
    """What the attention of a block can be made of."""

    tokens: torch.Tensor  # (B, N, E), normalized: what queries, keys and values are projections of
    q: torch.Tensor  # (B, n, N, d)
    k: torch.Tensor  # (B, n, N, d)
    v: torch.Tensor  # (B, n, N, d)
    grid_size: tuple  # (h, w); [CLS] stands before the patches


def plain_attention(inputs, temperature=1.0):
    """softmax(q k^T / (sqrt(d) temperature)) v; below 1 the attention is sharpened."""
    return _weigh(inputs.q, inputs.k, inputs.v, temperature)


def identity_attention(inputs):
    """Each token attends to itself alone (MaskCLIP, arXiv 2112.01071)."""
    return inputs.v


def correlative_attention(inputs, parts="qk", temperature=1.0):
    """(softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d))) v (SCLIP, arXiv 2312.01597).

    The weights of a token add up to the number of ``parts``: 2 in the paper's method.

    Args:
        parts (str): "qk", or "q" or "k" for one term alone.
    """
    return sum(_weigh(x, x, inputs.v, temperature) for x in (getattr(inputs, p) for p in parts))


def projected_attention(inputs, projections, temperature=1.0):
    """Mean over r of softmax(x W_r (x W_r)^T / sqrt(d)) v, x the tokens (SCLIP).

    Args:
        projections (Tensor | None): (R, E, E), of which each takes the place of the query
            projection; None: one, the identity.
    """
    attended = 0
    for projection in [None] if projections is None else projections:
        x = inputs.tokens if projection is None else inputs.tokens @ projection.T  # (B, N, E)
        x = x.unflatten(-1, (inputs.v.shape[1], -1)).transpose(1, 2)  # (B, n, N, d)
        attended = attended + _weigh(x, x, inputs.v, temperature)
    return attended if projections is None else attended / len(projections)


def local_attention(inputs, window, temperature=1.0):
    """Plain attention of each patch to the ``window`` x ``window`` patches around it.

    [CLS], which has no place, attends to all tokens, and no patch attends to it.
    """
    mask = local_mask(inputs.grid_size, window, inputs.q.device)
    return _weigh(inputs.q, inputs.k, inputs.v, temperature, mask)


def local_mask(grid_size, window, device=None):
    """Who attends to whom in :func:`local_attention`: (N, N) bool, rows attend to columns."""
    places = torch.cartesian_prod(*(torch.arange(n, device=device) for n in grid_size))  # (hw, 2)
    distance = (places[:, None] - places).abs().amax(dim=-1)  # (hw, hw)
    mask = F.pad(distance <= window // 2, (1, 0, 1, 0))
    mask[0] = True
    return mask


def _weigh(q, k, v, temperature, mask=None):
    scale = 1 / (q.shape[-1] ** 0.5 * temperature)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
