"""Attention over the parameters of an open_clip block, as functions.

The four attributes ``in_proj_weight``, ``in_proj_bias``, ``out_proj`` and ``num_heads`` are all
that is used of a block's attention; every version of open_clip has them. Batch first throughout.

B batch, N tokens, E width, n heads, d = E / n.
"""

from torch.nn import functional as F


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
    y = y.unflatten(-1, (len(parts), attn.num_heads, -1))  # (B, N, parts, n, d)
    return y.permute(2, 0, 3, 1, 4).unbind(0)


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
    x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=is_causal)
    return attn.out_proj(x.transpose(1, 2).flatten(2))  # (B, n, N, d) -> (B, N, E)


def finish_block(block, x, attended):
    """The rest of a pre-norm block after its attention: both residuals and the MLP."""
    x = x + block.ls_1(attended)
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def run_block(block, x, is_causal=False):
    """An ordinary block: x (B, N, E) -> (B, N, E)."""
    attended = attend(block.attn, *project(block.attn, block.ln_1(x)), is_causal=is_causal)
    return finish_block(block, x, attended)
