"""PAMR: pixel-adaptive mask refinement (Araslanov and Roth, arXiv 2005.08104).

A pixel's scores become a mean of its neighbours', who count the more the more they look alike.

C channels, K neighbours: 8 for each dilation.
"""

from itertools import product
from typing import NamedTuple

import torch
from torch.nn import functional as F

_OFFSETS = [offset for offset in product((-1, 0, 1), repeat=2) if offset != (0, 0)]


class Pamr(NamedTuple):
    """The refinement: 0 steps are none."""

    steps: int = 0
    dilations: tuple = (8, 16)  # distances of the neighbours, in pixels

    def __call__(self, image, maps):
        """Refine maps (C, H, W) by an image (3, H, W), whose scale and offset do not matter."""
        weights = affinity(image.float(), self.dilations)  # (K, H, W)
        for _ in range(self.steps):
            pairs = zip(weights, neighbours(maps, self.dilations), strict=True)
            maps = sum(weight * neighbour for weight, neighbour in pairs)
        return maps


def affinity(image, dilations):
    """Weights of the neighbours: (K, H, W), which add up to 1 at each pixel.

    softmax over neighbours of the mean over channels of -|difference| / (0.1 * deviation), the
    deviation being that of all neighbours and, once for each dilation, the pixel itself.
    """
    near = torch.stack(list(neighbours(image, dilations)), dim=1)  # (3, K, H, W)
    own = image[:, None].expand(-1, len(dilations), -1, -1)
    deviation = torch.cat([near, own], dim=1).std(dim=1, keepdim=True)  # (3, 1, H, W)
    difference = (near - image[:, None]).abs()
    return (-difference / (1e-8 + 0.1 * deviation)).mean(dim=0).softmax(dim=0)


def neighbours(maps, dilations):
    """Yield the K neighbours of all pixels, each (C, H, W); beyond the border its pixels repeat."""
    height, width = maps.shape[-2:]
    for dilation in dilations:
        padded = F.pad(maps[None], [dilation] * 4, mode="replicate")[0]
        for dy, dx in _OFFSETS:
            top, left = (1 + dy) * dilation, (1 + dx) * dilation
            yield padded[:, top : top + height, left : left + width]
