"""Maps of low resolution to pixels of any size, tile by tile, without an array of all of them.

Resizing is linear: along each axis it is one matrix. C channels, (h, w) grid, (H, W) output.
"""

import torch
from torch.nn import functional as F


def interpolation_weights(length, size, kept=None):
    """Matrix of a bilinear resize along one axis.

    Args:
        length (int): of the grid.
        size (int): that it is resized to.
        kept (int | None): the first so many of these; None: all.

    Returns:
        Tensor: (kept, length) float32 on the CPU, PyTorch's own weights, read off by resizing the
        unit vectors.
    """
    unit = torch.eye(length)[None]  # (1, channels = length, length)
    resized = F.interpolate(unit, size=size, mode="linear", align_corners=False)
    return resized[0, :, :kept].T.contiguous()


def resize_rows(weights, size):
    """Resize the rows of a matrix (n, length) bilinearly -> (size, length)."""
    if size == len(weights):
        return weights
    rows = F.interpolate(weights.T[None], size=size, mode="linear", align_corners=False)
    return rows[0].T.contiguous()


def tiles(maps, row_bands, column_bands):
    """Compute ``row_weights @ maps @ column_weights.T`` piece by piece.

    Args:
        maps (Tensor): (C, h, w).
        row_bands, column_bands (list): of the weights of both axes, see :func:`cut`.

    Yields:
        rows, columns (slices of the output), values (C, rows, columns) float32: for use before the
        next ones, which take their place in memory and so in the cache, unless maps want gradients.
    """
    maps = maps.float()
    place = None if maps.requires_grad else maps.new_empty(0)
    for columns, used_columns, weights in column_bands:
        strip = maps[..., used_columns] @ weights.T  # (C, h, columns)
        for rows, used_rows, weights_of_rows in row_bands:
            weights_of_rows = weights_of_rows.expand(len(maps), -1, -1)  # (C, rows, used)
            if place is not None:
                place.resize_(0)
            yield rows, columns, torch.bmm(weights_of_rows, strip[:, used_rows], out=place)


def cut(weights, side, device):
    """Cut weights (n, length) into bands of ``side`` rows.

    Args:
        weights (Tensor): on the CPU.
        side (int): of a tile, in pixels.
        device (torch.device): of the bands.

    Returns:
        list of (slice of n, slice or indices of what the band uses of the length, weights
        (side, used)).
    """
    bands = []
    for start in range(0, len(weights), side):
        rows = slice(start, min(start + side, len(weights)))
        used = weights[rows].any(dim=0).nonzero()[:, 0]
        if len(used) == used[-1] - used[0] + 1:  # one run of them: no copy
            used = slice(int(used[0]), int(used[-1]) + 1)
        bands.append((rows, used, weights[rows][:, used].to(device)))
    return bands
