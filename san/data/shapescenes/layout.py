"""Which kind of stuff lies where: bands under a horizon, patches, islands.

A layout is one field for each kind of stuff; at every pixel the highest field wins. Noise in the
fields makes the borders wavy. Shapes: K kinds of stuff in the image.
"""

import cv2
import numpy as np

from .noise import smooth_noise


def bands(rng, size, num_stuff):
    """From top to bottom, one below the other, a little tilted."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32([height, width])[:, None, None]
    y = y + np.float32(rng.uniform(-0.15, 0.15)) * (x - 0.5)
    y = y + np.float32(rng.uniform(0, 0.05)) * smooth_noise(rng, size, width / 3, 3)
    cuts = (np.arange(1, num_stuff) + rng.uniform(-0.25, 0.25, num_stuff - 1)) / num_stuff
    return np.searchsorted(cuts, y).astype(np.uint8)


def patches(rng, size, num_stuff):
    """Cells around random points."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(size)
    points = _spread_points(rng, num_stuff) * np.float32([height, width]) / max(size)
    warp = rng.uniform(0.02, 0.1)
    fields = [
        warp * smooth_noise(rng, size, max(size) / 5, 2) - np.hypot(y - py, x - px)
        for py, px in points
    ]
    return np.argmax(fields, 0).astype(np.uint8)


def islands(rng, size, num_stuff):
    """The first everywhere but where blobs of the others lie."""
    regions = np.zeros(size, np.uint8)
    for index in range(1, num_stuff):
        blobs = smooth_noise(rng, size, max(size) / rng.uniform(2, 3.5), 2)
        share = rng.uniform(0.25, 0.4)  # of the image
        regions[blobs > np.quantile(blobs[::4, ::4], 1 - share)] = index
    return regions


LAYOUTS = {"bands": bands, "patches": patches, "islands": islands}


def lay_out(rng, layout, size, num_stuff):
    """Divide an image among kinds of stuff.

    Args:
        layout (str): key of `LAYOUTS`.
        size (tuple[int, int]): (H, W).
        num_stuff (int): K, 1 or more.
    Returns:
        (H, W) uint8, 0 to K - 1. A kind may get no pixel.
    """
    if num_stuff == 1:
        return np.zeros(size, np.uint8)
    regions = LAYOUTS[layout](rng, size, num_stuff)
    return cv2.medianBlur(regions, 5)  # no specks along the borders


def _spread_points(rng, num_points):
    """(num_points, 2) in 0..1, the best spread of some random draws."""
    draws = rng.random((8, num_points, 2), dtype=np.float32)
    distances = np.linalg.norm(draws[:, :, None] - draws[:, None], axis=-1)  # (8, K, K)
    distances[:, np.arange(num_points), np.arange(num_points)] = np.inf
    return draws[distances.min((1, 2)).argmax()]
