"""One block of a vision transformer (Dosovitskiy et al., arXiv 2010.11929, Eq. 2 and 3).

B batch, N tokens, S width, h heads, d channels of a head.
"""

from functools import partial

from torch import nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

from ..layers import call, split_heads

_LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class Block(nn.Module):
    """Pre-norm: attention, then an MLP, each with a residual connection.

    Args:
        width (int): S.
        num_heads (int): h, a divisor of S.
        drop_path_rate (float): share of a batch's images that skip a residual branch in training,
            0..1 (stochastic depth, arXiv 1603.09382).
    """

    def __init__(self, width, num_heads, drop_path_rate=0.0):
        super().__init__()
        self.norm1 = _LayerNorm(width)
        self.attn = Attention(width, num_heads)
        self.norm2 = _LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)
        self.drop_path = StochasticDepth(drop_path_rate, mode="row")

    def forward(self, x):
        """x (B, N, S) -> (B, N, S)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    """Multi-head self-attention (arXiv 1706.03762, Sec. 3.2)."""

    def __init__(self, width, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        """x (B, N, S) -> (B, N, S)."""
        query, key, value = split_heads(self.qkv(x), 3, self.num_heads)  # each (B, h, N, d)
        x = F.scaled_dot_product_attention(query, key, value)
        return self.proj(x.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two affine layers with GELU between them.

    For the backward pass it keeps what goes into the GELU alone. What comes out is computed again:
    at no matrix product, for a tenth of a training step's memory.
    """

    def __init__(self, width, hidden_width):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden_width)
        self.fc2 = nn.Linear(hidden_width, width)

    def forward(self, x):
        """x (..., S) -> (..., S)."""
        return call(self._finish, self.fc1(x), recompute=True)

    def _finish(self, x):
        return self.fc2(F.gelu(x))
