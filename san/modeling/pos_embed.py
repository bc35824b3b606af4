"""Two-dimensional position embeddings at another grid size."""

from torch import cat
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
    return cat([prefix, grid.flatten(2).transpose(1, 2)], dim=1)  # (1, P + h' * w', C)
