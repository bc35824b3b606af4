"""Write each class's name where it fits best inside the class's own pixels."""

import cv2
import numpy as np
from PIL import ImageDraw

from san.visualize.fonts import load_font, shorten
from san.visualize.label_map import resize_labels

MIN_SHARE = 0.004  # classes with a smaller share of the pixels are named in the legend alone
_SEARCH_SIDE = 320  # places are searched on a label map of this size, pixels
_DARK, _LIGHT = (32, 33, 36), (255, 255, 255)


def write_names(view, labels, names, colors, shares, font_size):
    """Write names on ``view`` in place, the largest class first; a name without room is left out.

    Args:
        view: PIL image.
        labels: (H,W) integers at the size of the view, -1 for none.
        names, colors: per class its name and its sRGB color 0..255.
        shares: {label: share of the pixels}, largest first.
        font_size: pixels.
    """
    scale = min(1.0, _SEARCH_SIDE / max(labels.shape))
    small = resize_labels(labels, *(max(1, round(side * scale)) for side in labels.shape))
    occupied = np.zeros(small.shape, np.uint8)
    for label, share in shares.items():
        if label < 0 or share < MIN_SHARE:
            continue
        tag = _Tag(names[label], tuple(int(value) for value in colors[label]), font_size)
        box = [int(np.ceil(side * scale)) + 1 for side in (tag.height, tag.width)]
        place = find_place(small == label, occupied, box)
        if place is not None:
            y, x = place
            occupied[y : y + box[0], x : x + box[1]] = 1
            tag.draw(ImageDraw.Draw(view), round(y / scale), round(x / scale))


def find_place(mask, occupied, box):
    """Top left corner (y,x) for a box (height,width) as deep inside ``mask`` as can be, or None.

    The center of the box is in the mask's largest connected component; the box lies whole in the
    picture and clear of ``occupied``. Of such places the best is full of the component, far from
    its border and near its center of mass.

    Args:
        mask: (h,w) bool, not empty.
        occupied: (h,w) uint8, 1 where nothing may be written.
        box: (height, width) in pixels.
    """
    if box[0] > mask.shape[0] or box[1] > mask.shape[1]:
        return None
    _, components, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    region = (components == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    score = _box_sums(region, box) / (box[0] * box[1])  # share of the box inside the region
    score += 0.5 * _at_centers(depth, box, score.shape) / depth.max()
    score -= 0.3 * _at_centers(_distance_to_center(region), box, score.shape)
    score[(_at_centers(depth, box, score.shape) == 0) | (_box_sums(occupied, box) > 0)] = -np.inf
    y, x = np.unravel_index(score.argmax(), score.shape)
    return (int(y), int(x)) if np.isfinite(score[y, x]) else None


def _at_centers(values, box, size):
    """Values (h,w) at the center of the box, for every top left corner -> ``size``."""
    return values[box[0] // 2 :, box[1] // 2 :][: size[0], : size[1]]


def _distance_to_center(region):
    """Distance of every pixel to the center of mass of ``region``, 1 being the map's diagonal."""
    y, x = np.nonzero(region)
    rows, columns = np.indices(region.shape)
    return np.hypot(rows - y.mean(), columns - x.mean()) / np.hypot(*region.shape)


def _box_sums(values, box):
    """Sum of ``values`` (h,w) over the box at every top left corner -> (h-height+1, w-width+1)."""
    total = cv2.integral(values)  # (h+1,w+1)
    height, width = box
    return (
        total[height:, width:] - total[:-height, width:] - total[height:, :-width]
        + total[:-height, :-width]
    ).astype(np.float64)  # fmt: skip


class _Tag:
    """A name on a rounded plate in the color of its class."""

    def __init__(self, text, color, font_size):
        self.color = color
        self.font = load_font(font_size, text)
        self.text = shorten(text, self.font, 14 * font_size)
        self.pad = max(3, font_size // 3)
        ascent, descent = self.font.getmetrics()
        self.height = ascent + descent + self.pad
        self.width = int(np.ceil(self.font.getlength(self.text))) + 2 * self.pad

    def draw(self, draw, y, x):
        plate = (x, y, x + self.width, y + self.height)
        draw.rounded_rectangle(plate, self.pad, fill=self.color, outline=_LIGHT, width=1)
        middle = (x + self.width / 2, y + self.height / 2)
        draw.text(middle, self.text, ink_on(self.color), self.font, anchor="mm")


def ink_on(color):
    """Dark or light ink, whichever is more legible on an sRGB color."""
    red, green, blue = color
    return _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _LIGHT
