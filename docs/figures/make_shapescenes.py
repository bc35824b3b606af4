"""Draws docs/figures/shapescenes.jpg: scenes with their truth, other looks, single things.

python docs/figures/make_shapescenes.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from san.colors import palette
from san.data.shapescenes.label_sets import LABEL_SETS
from san.data.shapescenes.render import render
from san.data.shapescenes.splits import SPLITS, plan_item
from san.data.shapescenes.writer import to_labels

CELL, SMALL, GAP = 156, 76, 4  # pixels
COLUMNS = 8
TRUTH_SHARE = 0.75  # of the class color over the image
NOT_LABELED = (40, 40, 40)


def scene(split, index):
    """An image of a split and its truth in class colors, both (H, W, 3) uint8."""
    item = plan_item(SPLITS[split], 0, index)
    image, elements = render(item.scene)
    label_set = LABEL_SETS[split]
    colors = np.full((256, 3), NOT_LABELED, np.uint8)
    colors[: len(label_set.names)] = palette(len(label_set.names))
    truth = colors[to_labels(item.scene, elements, label_set)]
    return image, (TRUTH_SHARE * truth + (1 - TRUTH_SHARE) * image).astype(np.uint8)


def row(images, side):
    """Images in a row, each cut to a square of ``side`` pixels."""
    width = len(images) * (side + GAP) - GAP
    canvas = Image.new("RGB", (width, side), "white")
    for column, image in enumerate(images):
        short = min(image.shape[:2])
        square = Image.fromarray(image[:short, :short]).resize((side, side), Image.LANCZOS)
        canvas.paste(square, (column * (side + GAP), 0))
    return canvas


def main():
    """Draw and write the figure."""
    train = [scene("train", index) for index in range(100, 100 + COLUMNS)]
    val = [scene("val", index) for index in range(COLUMNS)]
    looks = [scene("shift_val", index)[0] for index in range(COLUMNS)]
    crops = [
        render(plan_item(SPLITS["captions_train"], 0, index).scene)[0]
        for index in range(4 * COLUMNS)
    ]
    rows = [row(images, CELL) for pair in (train, val) for images in zip(*pair, strict=True)]
    rows += [row(looks, CELL)]
    rows += [row(crops[: 2 * COLUMNS], SMALL), row(crops[2 * COLUMNS :], SMALL)]
    sheet = Image.new("RGB", (rows[0].width, sum(r.height + GAP for r in rows) - GAP), "white")
    top = 0
    for part in rows:
        sheet.paste(part, (0, top))
        top += part.height + GAP
    sheet.save(Path(__file__).with_name("shapescenes.jpg"), quality=82, optimize=True)


if __name__ == "__main__":
    main()
