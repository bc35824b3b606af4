"""Two-dimensional position embeddings at another grid size, or in a part of the grid."""

import torch
from torch.nn import functional as F


def resize_pos_embed(pos_embed, old_grid, new_grid, num_prefix_tokens=0, mode="bicubic"):
    """Resize a learned position embedding (ViT, arXiv 2010.11929, Sec. 3.2), without antialiasing.

    Args:
        pos_embed (Tensor): (1, num_prefix_tokens + h * w, C), rows of the grid one after another.
        old_grid, new_grid (tuple[int, int]): (h, w) in patches.
        num_prefix_tokens (int): tokens without a place, such as [CLS], at the front; kept.
        mode (str): "bicubic" or "bilinear".

    Returns:
        Tensor: (1, num_prefix_tokens + h' * w', C); ``pos_embed`` itself where the grids are equal.
    """
    if tuple(old_grid) == tuple(new_grid):
        return pos_embed
    prefix, grid = pos_embed[:, :num_prefix_tokens], pos_embed[:, num_prefix_tokens:]
    grid = grid.unflatten(1, tuple(old_grid)).permute(0, 3, 1, 2)  # (1, C, h, w)
    grid = F.interpolate(grid, size=tuple(new_grid), mode=mode, align_corners=False)
    return torch.cat([prefix, grid.flatten(2).transpose(1, 2)], dim=1)  # (1, P + h' * w', C)


def window_pos_embed(pos_embed, old_grid, new_grid, windows, num_prefix_tokens=0):
    """Position embeddings of images that each lie in a square window of the learned grid.

    Positions that are shifted and scaled at random in training (CAPE, arXiv 2106.03143; for a
    learned grid, by resampling it) make a model bear things at any place and of any size.

    Args:
        pos_embed (Tensor): (1, num_prefix_tokens + h * w, C), rows of the grid one after another.
        old_grid, new_grid (tuple[int, int]): (h, w) in patches.
        windows (Tensor): (B, 3), top, left and side as shares of the grid, 0..1; (0, 0, 1) is all
            of it, which gives what :func:`resize_pos_embed` gives.
        num_prefix_tokens (int): tokens without a place, such as [CLS], at the front; kept.

    Returns:
        Tensor: (B, num_prefix_tokens + h' * w', C)
    """
    prefix, grid = pos_embed[:, :num_prefix_tokens], pos_embed[:, num_prefix_tokens:]
    grid = grid.unflatten(1, tuple(old_grid)).permute(0, 3, 1, 2)  # (1, C, h, w)
    places = []  # of the new grid's rows and columns, -1..1 across the old one
    for start, length in zip(windows[:, :2].unbind(1), new_grid, strict=True):
        centers = (torch.arange(length, device=windows.device) + 0.5) / length  # (h',) or (w',)
        places.append(2 * (start[:, None] + windows[:, 2:] * centers) - 1)  # (B, h') or (B, w')
    y, x = places[0][:, :, None], places[1][:, None]
    at = torch.stack(torch.broadcast_tensors(x, y), dim=-1)  # (B, h', w', 2)
    grid = F.grid_sample(
        grid.expand(len(at), -1, -1, -1), at.to(grid.dtype),
        mode="bicubic", padding_mode="border", align_corners=False,
    )  # (B, C, h', w')  # fmt: skip
    return torch.cat([prefix.expand(len(at), -1, -1), grid.flatten(2).transpose(1, 2)], dim=1)
