"""Miniature data sets in the official on-disk layouts, with real JPEG, PNG and TIFF files.

The paths, class ids and ignore labels are written out here and not taken from the package, so
that a test which reads these files checks the package's own idea of them.

    python tests/miniatures.py FOLDER

Every class has one look wherever it occurs, so that a small model can learn it: a color and a
stripe pattern that follow from its name alone. Everything is the same for the same seed.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

# {class name: training id}; COCO-Stuff: (training id, raw pixel value = COCO id - 1)
COCO_STUFF = {
    "person": (0, 0),
    "car": (2, 2),
    "dog": (16, 17),
    "teddy bear": (77, 87),
    "grass": (112, 123),
    "sky-other": (145, 156),
    "wood": (170, 181),
}
VOC = {"aeroplane": 0, "car": 6, "dog": 11, "tv": 19}
PASCAL_CONTEXT = {"aeroplane": 0, "car": 13, "grass": 28, "sky": 46, "wood": 58}
PASCAL_CONTEXT_FULL = {"aeroplane": 1, "car": 58, "grass": 186, "sky": 359, "wool": 458}
ADE20K = {"wall": 0, "sky": 2, "car": 20, "flag": 149}
ADE20K_FULL = {"wall": 0, "sky": 2, "tree": 3, "adding machine, totalizer, totaliser": 846}
MIN_SIDE, MAX_SIDE = 48, 160  # pixels


def write_all(root, num_images=3, seed=0):
    """Write all six data sets: train and validation split of COCO-Stuff, validation of the rest.

    Args:
        root: folder for DETECTRON2_DATASETS; made if need be.
        num_images (int): images per split.
        seed (int): the same seed gives the same files.
    """
    write_coco_stuff(root, num_train=num_images, num_val=num_images, seed=seed)
    write_voc(root, num_images, seed)
    write_pascal_context(root, num_images, seed)
    write_pascal_context_full(root, num_images, seed)
    write_ade20k(root, num_images, seed)
    write_ade20k_full(root, num_images, seed)


def write_coco_stuff(root, num_train=8, num_val=4, seed=0, prepared=True):
    """COCO-Stuff: images and published stuffthingmaps.

    Args:
        prepared (bool): write the label maps with training ids as well, as
            ``datasets/prepare_coco_stuff.py`` makes them.
    """
    train_ids = [train_id for train_id, _ in COCO_STUFF.values()]
    raw_ids = [raw for _, raw in COCO_STUFF.values()]
    for split, num_images in (("train2017", num_train), ("val2017", num_val)):
        for index in range(num_images):
            image, regions = draw_scene(list(COCO_STUFF), f"coco/{split}/{index}/{seed}")
            name = f"{index + 1:012d}"
            coco = Path(root) / "coco"
            _save_jpeg(image, coco / split / f"{name}.jpg")
            raw = to_ids(regions, raw_ids, 255, np.uint8)
            _save(raw, coco / "stuffthingmaps" / split / f"{name}.png")
            if prepared:
                labels = to_ids(regions, train_ids, 255, np.uint8)
                _save(labels, coco / "stuffthingmaps_detectron2" / split / f"{name}.png")


def write_voc(root, num_images=3, seed=0, split="val"):
    """PASCAL VOC 2012; JPEGImages also holds one image without a label map, as it does for real."""
    base = Path(root) / "VOC2012"
    labels = base / "annotations_detectron2" / split
    _write_split(base / "JPEGImages", labels, ".png", VOC, f"2007_{split}", num_images, seed)
    image, _ = draw_scene(list(VOC), f"2012_detection/{seed}")
    _save_jpeg(image, base / "JPEGImages" / "2012_detection.jpg")


def write_pascal_context(root, num_images=3, seed=0, split="val"):
    """PASCAL Context, 59 classes."""
    base = Path(root) / "pcontext" / split
    images, labels = base / "image", base / "label"
    _write_split(images, labels, ".png", PASCAL_CONTEXT, f"2008_{split}", num_images, seed)


def write_pascal_context_full(root, num_images=3, seed=0, split="val"):
    """PASCAL Context, 459 classes, 16-bit TIFF label maps."""
    base = Path(root) / "pcontext_full" / split
    images, labels = base / "image", base / "label"
    _write_split(images, labels, ".tif", PASCAL_CONTEXT_FULL, f"2009_{split}", num_images, seed)


def write_ade20k(root, num_images=3, seed=0, folder="validation"):
    """ADE20K, 150 classes."""
    base = Path(root) / "ADEChallengeData2016"
    images, labels = base / "images" / folder, base / "annotations_detectron2" / folder
    _write_split(images, labels, ".png", ADE20K, f"ADE_{folder}", num_images, seed)


def write_ade20k_full(root, num_images=3, seed=0, folder="validation"):
    """ADE20K, 847 classes, 16-bit TIFF label maps."""
    base = Path(root) / "ADE20K_2021_17_01"
    images, labels = base / "images_detectron2" / folder, base / "annotations_detectron2" / folder
    _write_split(images, labels, ".tif", ADE20K_FULL, f"ADE_full_{folder}", num_images, seed)


def draw_scene(classes, name):
    """One image of coherent regions.

    Args:
        classes (list[str]): class names to choose from.
        name (str): decides everything random.
    Returns:
        image (H, W, 3) uint8, regions (H, W) int64: index into ``classes``, -1 = unlabeled.
    """
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    height, width = rng.randint(MIN_SIDE, MAX_SIDE + 1, size=2)
    y, x = np.mgrid[:height, :width]
    # Voronoi cells of a few random points, each cell of one class
    points = rng.rand(rng.randint(4, 8), 2) * (height, width)
    distance = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2  # (H, W, P)
    cell_class = rng.permutation(np.arange(len(points)) % len(classes))
    regions = cell_class[distance.argmin(-1)].astype(np.int64)  # (H, W)
    image = np.zeros((height, width, 3))
    for index in np.unique(regions):
        image = np.where((regions == index)[..., None], _look(classes[index], y, x), image)
    image += rng.randn(height, width, 3) * 4
    top, left = rng.randint(0, height - 8), rng.randint(0, width - 8)
    regions[top : top + 8, left : left + 8] = -1
    return image.clip(0, 255).astype(np.uint8), regions


def to_ids(regions, ids, ignore_label, dtype):
    """(H, W) label map: region i becomes ids[i], -1 the ignore label."""
    return np.array([*ids, ignore_label], dtype)[regions]  # index -1 is the last


def _look(class_name, y, x):
    """(H, W, 3) color of a class at every pixel: its own color with its own stripes."""
    rng = np.random.RandomState(zlib.crc32(class_name.encode()))
    color = rng.randint(48, 208, size=3)
    angle, period = rng.rand() * np.pi, rng.randint(4, 13)
    phase = (np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / period
    return color + 32 * np.sin(phase)[..., None]


def _write_split(image_dir, label_dir, suffix, classes, prefix, num_images, seed):
    """Write ``num_images`` images and their label maps, 16-bit where ``suffix`` is ".tif"."""
    ignore_label, dtype = (65535, np.uint16) if suffix == ".tif" else (255, np.uint8)
    for index in range(num_images):
        stem = f"{prefix}_{index + 1:08d}"
        image, regions = draw_scene(list(classes), f"{stem}/{seed}")
        _save_jpeg(image, image_dir / f"{stem}.jpg")
        labels = to_ids(regions, classes.values(), ignore_label, dtype)
        _save(labels, label_dir / f"{stem}{suffix}")


def _save_jpeg(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=95)


def _save(labels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write miniatures of all six data sets.")
    parser.add_argument("root", help="folder for DETECTRON2_DATASETS")
    write_all(parser.parse_args().root)
