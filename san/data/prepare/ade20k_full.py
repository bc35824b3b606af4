"""ADE20K of 2021 with 847 classes.

The class of a pixel of ``X_seg.png`` is ``R // 10 * 256 + G``; the 847 most frequent are kept, all
others ignored. Image (bilinear) and label map (nearest) are scaled so that the shorter side has at
most 512 pixels, and the image is saved with Pillow's default quality, as the published numbers'
data are.
"""

import io

import cv2
import numpy as np
from PIL import Image

from san.errors import UserError

from ..datasets import read_categories
from .inert_pickle import load_inert, strings
from .label_maps import LabelMaker, SourceError, make_table
from .recipe import Files, Recipe
from .sources import Download

TOP = "ADE20K_2021_17_01"
INDEX = "index_ade20k.pkl"
MAX_SHORT_SIDE = 512
IGNORE_LABEL = 65535
NUM_IDS = 25 * 256 + 256  # red 255 -> 25
ARCHIVE = Download(
    "ADE20K_2021_17_01.zip",
    TOP,
    (TOP,),
    "https://ade20k.csail.mit.edu/request_data/ (after registering)",
    (
        ("ADE20K_2016_07_26.zip", "the edition of 2016, which has other ids"),
        ("ADE20K_2016_07_26", "the edition of 2016, which has other ids"),
        ("ADEChallengeData2016.zip", "the edition with 150 classes"),
        ("ADEChallengeData2016", "the edition with 150 classes"),
    ),
)


def find(sources, split):
    """Images and label maps of "training" or "validation"; see `Recipe`."""
    files = sources.open(ARCHIVE)
    images, labels = {}, {}
    for folder, file_name in read_index(files.need(INDEX)):
        name = file_name.removesuffix(".jpg")
        if split_of(file_name) == split:
            path = f"{folder}/{name}".removeprefix(f"{TOP}/")
            images[name], labels[name] = files.get(f"{path}.jpg"), files.get(f"{path}_seg.png")
    return Files(images, files.where, files.remedy), Files(labels, files.where, files.remedy)


def read_index(blob):
    """Folder and file name of every image, from the pickled index.

    Raises:
        UserError: the index is damaged or another one.
    """
    try:
        index = load_inert(blob.read())
        if not isinstance(index, dict):
            raise ValueError("not a dictionary")
        return list(zip(strings(index["folder"]), strings(index["filename"]), strict=True))
    except UserError:
        raise
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{blob}: not the index of ADE20K ({error}); expected lists of strings under 'folder' "
            f"and 'filename'; {blob.remedy}"
        ) from error


def split_of(file_name):
    """ "validation" for ADE_val_*, else "training"."""
    return "validation" if file_name.split("_")[1:2] == ["val"] else "training"


def new_size(height, width):
    """Size with a shorter side of at most 512, as (height, width)."""
    short = min(height, width)
    if short <= MAX_SHORT_SIDE:
        return height, width
    if height <= width:
        return MAX_SHORT_SIDE, round(width / height * MAX_SHORT_SIDE)
    return round(height / width * MAX_SHORT_SIDE), MAX_SHORT_SIDE


def make_image(data):
    """Bytes of a photo -> bytes of a JPEG of the new size."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = _resize(np.asarray(image), cv2.INTER_LINEAR)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def read_seg(data):
    """Bytes of X_seg.png -> (h, w) uint16 ids at the new size."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode not in ("RGB", "RGBA"):
            raise SourceError(f"Pillow mode '{image.mode}' and not the colored map of ADE20K")
        pixels = np.asarray(image)  # (H, W, 3 or 4)
    ids = pixels[..., 0].astype(np.uint16) // 10 * 256 + pixels[..., 1]  # (H, W)
    return _resize(ids, cv2.INTER_NEAREST)


def _resize(pixels, interpolation):
    height, width = new_size(*pixels.shape[:2])
    if (height, width) == pixels.shape[:2]:
        return pixels
    return cv2.resize(pixels, (width, height), interpolation=interpolation)


def train_ids():
    """(6656,) training ids of all ids that a pixel can have."""
    _, ade_ids = read_categories("ade20k_847")
    table = make_table(ade_ids, {}, NUM_IDS)
    return np.where(table < 0, IGNORE_LABEL, table)


ADE20K_847 = Recipe(
    {"ade20k_full_sem_seg_train": "training", "ade20k_full_sem_seg_val": "validation"},
    find,
    LabelMaker(train_ids(), read_seg, kind="TIFF"),
    make_image,
)
