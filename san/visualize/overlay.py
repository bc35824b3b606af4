"""Draw a label map over its image: class colors, borders, names in place, and a legend.

The picture is a view for people: its longer side is between `MIN_SIDE` and `MAX_SIDE` pixels,
whatever the size of the image, so that text stays legible and a huge image gives no huge overlay.
"""

import cv2
import numpy as np
from PIL import Image

from san.visualize.label_map import class_shares, find_borders, resize_labels
from san.visualize.legend import PAPER, draw_legend
from san.visualize.names import write_names

MIN_SIDE, MAX_SIDE = 640, 2048
_NONE_BRIGHTNESS = 0.45  # of pixels that belong to no class


def draw_overlay(image, label_map, names, colors, alpha=0.5):
    """Draw the classes of ``label_map`` over ``image``.

    Args:
        image: (H,W,3) uint8 RGB.
        label_map: (H,W) integers, position in ``names``; -1 for none, shown grey and dimmed.
        names: one string per class.
        colors: (C,3) uint8 sRGB.
        alpha: share of the class color in a pixel, 0..1.

    Returns:
        PIL image: the view and, below it, a legend sorted by area.
    """
    view, font_size = draw_view(image, label_map, names, colors, alpha)
    shares = class_shares(label_map)
    legend = draw_legend(max(view.width, MIN_SIDE), names, colors, shares, font_size)
    return _stack(view, legend)


def draw_view(image, label_map, names, colors, alpha):
    """Draw the classes with their names in place -> PIL image, size of its font in pixels.

    The arguments are those of `draw_overlay`.
    """
    pixels = resize_to_view(image)
    height, width = pixels.shape[:2]
    labels = resize_labels(label_map, height, width)
    view = Image.fromarray(_paint(pixels, labels, np.asarray(colors, np.uint8), alpha))
    font_size = round(np.clip(max(height, width) / 50, 14, 32))
    write_names(view, labels, names, colors, class_shares(label_map), font_size)
    return view, font_size


def resize_to_view(image):
    """Bring (H,W,3) uint8 to the size of a view, its longer side `MIN_SIDE` to `MAX_SIDE`."""
    size = image.shape[:2]
    scale = np.clip(max(size), MIN_SIDE, MAX_SIDE) / max(size)
    height, width = (max(1, round(side * scale)) for side in size)
    interpolation = cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA
    return cv2.resize(image, (width, height), interpolation=interpolation)


def _paint(pixels, labels, colors, alpha):
    """Blend the class colors in, dim what has no class, and draw the borders -> (H,W,3) uint8."""
    painted = cv2.addWeighted(pixels, 1 - alpha, colors[labels], alpha, 0)
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[labels < 0]
    painted[labels < 0] = (gray * _NONE_BRIGHTNESS).astype(np.uint8)[:, None]
    width = max(2, round(max(labels.shape) / 500))
    border = cv2.dilate(find_borders(labels), np.ones((width, width), np.uint8)) > 0
    painted[border] = painted[border] // 5 + 204
    return painted


def _stack(view, legend):
    """Put the legend under the view, centered on a common width."""
    width = max(view.width, legend.width)
    canvas = Image.new("RGB", (width, view.height + legend.height), PAPER)
    canvas.paste(view, ((width - view.width) // 2, 0))
    canvas.paste(legend, (0, view.height))
    return canvas
