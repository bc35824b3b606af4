"""Photos with masks as a user may have them, and the file that describes them."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tests.miniatures import draw_scene, to_ids

CLASSES = ("road", "tree", "sky", "person")
COLORS = ((128, 64, 128), (0, 128, 0), (70, 130, 180), (220, 20, 60))


def write_photos(root, num_images=4, ids=(0, 1, 2, 3), ignored=255, prefix=""):
    """Write root/photos/NAME.jpg and root/masks/NAME.png -> list of (H, W) regions, -1 ignored.

    Args:
        ids: pixel value of every class; triples of values for colored masks.
        ignored: pixel value (or triple) that does not count.
    """
    scenes = []
    for index in range(num_images):
        name = f"{prefix}{index:03}"
        image, regions = draw_scene(list(CLASSES), f"own/{name}")
        table = to_ids(regions, ids, ignored, np.uint8) if np.ndim(ids) == 1 else None
        if table is None:
            table = np.array([*ids, ignored], np.uint8)[regions]  # (H, W, 3)
        save(image, Path(root) / "photos" / f"{name}.jpg")
        save(table, Path(root) / "masks" / f"{name}.png")
        scenes.append(regions)
    return scenes


def write_yaml(root, name="own.yaml", **keys):
    """Write the data set file root/NAME -> its path as str; a key that is None is left out."""
    keys = {"images": "photos", "labels": "masks", "classes": list(CLASSES), **keys}
    path = Path(root) / name
    keys = {key: value for key, value in keys.items() if value is not None}
    path.write_text(yaml.safe_dump(keys, sort_keys=False), encoding="utf-8")
    return str(path)


def save(pixels, path):
    """Write an array as an image; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
