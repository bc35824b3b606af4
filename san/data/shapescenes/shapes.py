"""How things look: outlines of the shapes, ranges of the colors, patterns."""

import colorsys
import math

import cv2
import numpy as np

_FINER = 4  # masks are drawn this much larger, then averaged


def _polar(radii, start=-math.pi / 2):
    """Polygon around the origin: vertex i at radius radii[i], at equal angles."""
    angles = start + np.arange(len(radii)) * (2 * math.pi / len(radii))
    return np.stack([np.cos(angles), np.sin(angles)], 1) * np.asarray(radii)[:, None]


def _cross():
    a, b = 0.34, 1.0
    corner = np.array([(a, -b), (a, -a), (b, -a)])
    quarter_turn = np.array([(0, 1), (-1, 0)])
    return np.concatenate([corner @ np.linalg.matrix_power(quarter_turn, i) for i in range(4)])


def _heart():
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y + 2.5], 1) / 16


def _crescent():
    """A disc of radius 1, less a disc of radius 0.82 whose center lies 0.5 to the right."""
    x = 1 + 0.5**2 - 0.82**2  # where the circles cross: (x, +-y)
    y = math.sqrt(1 - x**2)
    reach, inner = math.atan2(y, x), math.atan2(y, x - 0.5)
    outer = np.linspace(reach, 2 * math.pi - reach, 40)
    bite = np.linspace(2 * math.pi - inner, inner, 32)
    moon = np.concatenate([
        np.stack([np.cos(outer), np.sin(outer)], 1),
        np.stack([0.5 + 0.82 * np.cos(bite), 0.82 * np.sin(bite)], 1),
    ])  # fmt: skip
    return np.add(moon, (0.25, 0))


_CIRCLE = _polar(np.ones(48))
# Polygons in -1..1, x right and y down; of two, the second is the hole.
OUTLINES = {
    "circle": (0.92 * _CIRCLE,),
    "square": (np.array([(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)]),),
    "triangle": (np.add(_polar((1.15, 1.15, 1.15)), (0, 0.2)),),
    "star": (_polar((1.12, 0.45) * 5),),
    "cross": (_cross(),),
    "ring": (_CIRCLE, 0.55 * _CIRCLE),
    "heart": (_heart(),),
    "crescent": (1.05 * _crescent(),),
}

# Hue in degrees, saturation and value: (lowest, highest) of each.
_COLOR_RANGES = {
    "red": ((-8, 5), (0.82, 0.98), (0.72, 0.95)),
    "orange": ((23, 30), (0.88, 1.0), (0.92, 1.0)),
    "yellow": ((50, 57), (0.78, 0.98), (0.92, 1.0)),
    "green": ((112, 148), (0.65, 0.95), (0.45, 0.75)),
    "blue": ((212, 232), (0.72, 0.95), (0.65, 0.95)),
    "purple": ((272, 290), (0.55, 0.85), (0.5, 0.75)),
    "white": ((0, 360), (0.0, 0.04), (0.94, 1.0)),
    "black": ((0, 360), (0.0, 0.25), (0.05, 0.14)),
}


def sample_color(rng, color):
    """One RGB of 0 to 255, shape (3,), in the range that the color's name allows."""
    hue, saturation, value = (rng.uniform(*limits) for limits in _COLOR_RANGES[color])
    return np.float32(colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)) * 255


def contrast_color(rgb):
    """What the pattern on a thing of this color is drawn in: paler, or darker if it is light."""
    luminance = float(rgb @ np.float32([0.299, 0.587, 0.114]))
    return rgb * 0.58 if luminance > 130 else rgb * 0.55 + 255 * 0.45


def draw_shape(shape, size, transform):
    """Antialiased mask of a shape.

    Args:
        shape (str): key of `OUTLINES`.
        size (tuple[int, int]): (H, W).
        transform: (2, 3) matrix from outline coordinates to pixels (x, y); a pixel's center is
            at whole numbers.
    Returns:
        (H, W) uint8, 0 outside to 255 inside.
    """
    fine = np.zeros((size[0] * _FINER, size[1] * _FINER), np.uint8)
    matrix, offset = transform[:, :2] * _FINER, (transform[:, 2] + 0.5) * _FINER - 0.5
    contours = [np.round(outline @ matrix.T + offset).astype(np.int32)
                for outline in OUTLINES[shape]]  # fmt: skip
    cv2.fillPoly(fine, contours, 255)
    return cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA)


def pattern_share(pattern, across, down, phase):
    """Where the pattern has its second color.

    Args:
        pattern (str): "plain", "striped" or "dotted".
        across, down: (H, W) float32, outline coordinates of every pixel.
        phase (float): shifts the pattern; radians.
    Returns:
        (H, W) float32, 0 base color to 1 second color.
    """
    if pattern == "plain":
        return np.zeros_like(across)
    if pattern == "striped":
        return np.clip(0.5 + 3 * np.sin(across * 8.5 + phase), 0, 1)
    return np.clip(4 * (np.sin(across * 8 + phase) * np.sin(down * 8 + phase) - 0.15), 0, 1)
