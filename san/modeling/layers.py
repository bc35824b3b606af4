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


class MLP(nn.Module):
    """Affine layers with ReLU between them.

    Args:
        in_channels, hidden_channels, out_channels (int).
        num_layers (int): number of affine layers.
        dense (bool): 1 x 1 convolutions on (B, C, h, w) instead of linear layers on (..., C).
    """

    def __init__(self, in_channels, hidden_channels, out_channels, num_layers, dense=False):
        super().__init__()
        channels = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        self.layers = nn.ModuleList(
            nn.Conv2d(i, o, kernel_size=1) if dense else nn.Linear(i, o)
            for i, o in pairwise(channels)
        )

    def forward(self, x):
        return self.layers[-1](self.hidden(x))

    def hidden(self, x):
        """Activations that enter the last layer."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return x


class LayerNorm2d(nn.Module):
    """Layer normalization over the channels of (B, C, h, w), each pixel for itself.

    Not an ``nn.LayerNorm`` on purpose: the published training applies weight decay to it.
    """

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)  # (B, h, w, C)
        x = F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)  # (B, C, h, w)
