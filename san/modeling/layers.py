"""Small layers that several parts share."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def call(function, *args, recompute=False):
    """``function(*args)``, what it keeps for the backward pass kept or, if asked, made again then.

    Gradient checkpointing (arXiv 1604.06174), of one function at a time.
    """
    if recompute and torch.is_grad_enabled():
        return checkpoint(function, *args, use_reentrant=False)
    return function(*args)


def split_heads(x, parts, num_heads):
    """(B, N, parts * h * d) -> a tuple of ``parts`` tensors (B, h, N, d), views.

    Gradients come back in one copy, where those of a permuted tensor take two.
    """
    return tuple(
        part.unflatten(-1, (num_heads, -1)).transpose(1, 2) for part in x.chunk(parts, dim=-1)
    )


def affine(layer, x):
    """An affine layer, ``nn.Linear`` or a 1 x 1 convolution, on channels last: x (..., C).

    On a CPU a matrix product costs half of what the same convolution does.
    """
    return F.linear(x, layer.weight.flatten(1), layer.bias)


class MLP(nn.Module):
    """Affine layers with ReLU between them, on (..., C).

    Args:
        in_channels, hidden_channels, out_channels (int).
        num_layers (int): number of affine layers.
        dense (bool): of pixels: weights have the shape of 1 x 1 convolutions, as published.
    """

    def __init__(self, in_channels, hidden_channels, out_channels, num_layers, dense=False):
        super().__init__()
        channels = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        self.layers = nn.ModuleList(
            nn.Conv2d(i, o, kernel_size=1) if dense else nn.Linear(i, o)
            for i, o in pairwise(channels)
        )

    def forward(self, x):
        return affine(self.layers[-1], self.hidden(x))

    def hidden(self, x):
        """Activations that enter the last layer."""
        for layer in self.layers[:-1]:
            x = F.relu(affine(layer, x))
        return x


class DecayedLayerNorm(nn.Module):
    """Layer normalization of (..., C) that is no ``nn.LayerNorm``.

    On purpose: the published training applies weight decay to it.
    """

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
