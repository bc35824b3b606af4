"""Mosaics: images side by side in one, so that captions teach CLIP to read a part of an image.

A caption tells what an image shows, not where. In a mosaic of captioned images each tile is a
region whose caption is known (CLIM, arXiv 2312.11376, which tiles so to train region features).
Here a tile is read as SAN reads a mask, by an [SLS] token that sees its patches alone, while the
patches see each other in all the mosaic.

M mosaics of T = n * n tiles, (h, w) patches of CLIP in a tile, D embedding. Image i of M * T is
tile i // M of mosaic i % M, so that a mosaic stays on one process wherever M is a multiple of their
number.
"""

from torch import nn

from .backbone.clip_vit import ClipViT, deep_part
from .heads.mask_recognition import MaskRecognition

SIDE = 2  # n
NUM_TILES = SIDE * SIDE  # T


def tile(images):
    """Images (T * M, C, H, W) -> mosaics (M, C, n * H, n * W)."""
    rows = images.unflatten(0, (SIDE, SIDE, -1))  # (n, n, M, C, H, W)
    return rows.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3)


def untile(tiles):
    """What belongs to tiles of mosaics, (M, T, D) -> to images, (T * M, D)."""
    return tiles.transpose(0, 1).flatten(0, 1)


class TileEncoder(nn.Module):
    """CLIP's vision transformer as SAN uses it, with the tiles of mosaics for masks.

    Args:
        visual: open_clip's vision tower; its modules are used, not copied.
        num_shallow (int): blocks in which [CLS] sees the whole mosaic.

    Raises:
        UserError: see :class:`ClipViT`.
    """

    def __init__(self, visual, num_shallow):
        super().__init__()
        blocks, ln_post, proj = deep_part(visual, num_shallow)
        self.shallow = ClipViT(visual, num_shallow)
        self.recognition = MaskRecognition(
            blocks=blocks, ln_post=ln_post, proj=proj, num_queries=NUM_TILES
        )

    def forward(self, mosaics):
        """Normalized mosaics (M, 3, n * H, n * W) -> (M, T, D), unit norm."""
        features = self.shallow(mosaics)
        rows, columns = features.grid_size  # n * h, n * w
        bias = mosaics.new_full((SIDE, SIDE, NUM_TILES), float("-inf"))  # (n, n, T)
        bias.flatten(0, 1).fill_diagonal_(0)
        bias = bias.repeat_interleave(rows // SIDE, 0).repeat_interleave(columns // SIDE, 1)
        bias = bias.expand(len(mosaics), -1, -1, -1)[None, ..., None, None, :]
        return self.recognition(features.tokens, features.grid_size, bias)[0]
