"""Random fields over an image, the raw material of textures and borders.

Shapes: H, W image. A ``unit`` is the length in pixels that makes textures look the same at every
image size: 1/64 of the shorter side.
"""

import math

import cv2
import numpy as np


def coordinates(rng, size, unit, max_angle):
    """Pixel coordinates in units, in a frame turned at random.

    Args:
        rng (np.random.Generator).
        size (tuple[int, int]): (H, W).
        unit (float): pixels.
        max_angle (float): the frame turns by at most this, either way; radians.
    Returns:
        across, down: (H, W) float32 each.
    """
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(unit)
    angle = rng.uniform(-max_angle, max_angle)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return x * cos - y * sin, x * sin + y * cos


def smooth_noise(rng, size, cell, octaves=1):
    """Value noise: a random grid, enlarged smoothly, with finer and weaker grids on top.

    Args:
        size (tuple[int, int]): (H, W).
        cell (float | tuple[float, float]): grid step in pixels, down and across.
        octaves (int): grids in all; each is half the step and half the strength of the last.
    Returns:
        (H, W) float32 of mean 0 and standard deviation about 1.
    """
    height, width = size
    cell_y, cell_x = (cell, cell) if np.isscalar(cell) else cell
    total, power = np.zeros(size, np.float32), 0.0
    for octave in range(octaves):
        step_y, step_x = (max(c / 2**octave, 1.0) for c in (cell_y, cell_x))
        rows, cols = math.ceil(height / step_y) + 2, math.ceil(width / step_x) + 2
        grid = rng.standard_normal((rows, cols), dtype=np.float32)
        enlarged = (math.ceil(cols * step_x), math.ceil(rows * step_y))  # cv2: (width, height)
        field = cv2.resize(grid, enlarged, interpolation=cv2.INTER_CUBIC)
        top, left = int(step_y), int(step_x)
        total += 0.5**octave * field[top : top + height, left : left + width]
        power += 0.25**octave
    return total * np.float32(1.2 / math.sqrt(power))  # interpolation takes some variance away


def pebbles(rng, size, spacing):
    """Voronoi cells around jittered grid points.

    Args:
        size (tuple[int, int]): (H, W).
        spacing (float): mean distance of the points in pixels.
    Returns:
        cells: (H, W) int32, number of the cell, from 0.
        distance: (H, W) float32, distance to the cell's point over ``spacing``.
    """
    height, width = size
    rows, cols = math.ceil(height / spacing) + 1, math.ceil(width / spacing) + 1
    points = np.indices((rows, cols)).reshape(2, -1) + rng.uniform(-0.4, 0.4, (2, rows * cols))
    y, x = (points * spacing).round().astype(int)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    background = np.ones(size, np.uint8)
    background[y[inside], x[inside]] = 0
    distance, cells = cv2.distanceTransformWithLabels(
        background, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return cells - 1, distance / np.float32(spacing)


def blend(low, high, share):
    """Mix two colors, or the pixels of an image and a color.

    Args:
        low: (3,) color or (H, W, 3) image, at share 0.
        high: (3,) color, at share 1.
        share: (H, W) float32, clipped to 0..1.
    Returns:
        (H, W, 3) float32.
    """
    share = np.clip(share, 0, 1)
    planes = cv2.split(low) if np.ndim(low) == 3 else map(np.float32, low)
    # Plane by plane: NumPy is slow where the last axis is as short as 3.
    return cv2.merge([a + (np.float32(b) - a) * share for a, b in zip(planes, high, strict=True)])
