"""PASCAL Context: images and lists of VOC 2010, label maps of trainval.tar.gz.

A published label map is a MATLAB file with the array ``LabelMap`` of ids 1 to 459, 0 where
nothing is labeled. The 59 classes are chosen among the 459 by id; 60 counts all others as
background 0.
"""

import io

import numpy as np
from scipy.io import loadmat

from ..datasets import read_categories
from .label_maps import LabelMaker, SourceError, make_table
from .recipe import Recipe, listed
from .sources import Download
from .voc import read_list

NUM_PUBLISHED = 459
IGNORE_LABEL, IGNORE_LABEL_16 = 255, 65535
IMAGES = Download(
    "VOCtrainval_03-May-2010.tar",
    "VOCdevkit/VOC2010",
    ("VOCdevkit/VOC2010", "VOC2010"),
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
    (
        ("VOCtrainval_11-May-2012.tar", "PASCAL VOC 2012"),
        ("VOCdevkit/VOC2012", "PASCAL VOC 2012"),
        ("VOC2012", "PASCAL VOC 2012"),
    ),
)
LABELS = Download(
    "trainval.tar.gz",
    "trainval",
    ("VOCdevkit/VOC2010/trainval", "VOC2010/trainval", "pcontext/trainval", "trainval"),
    "https://www.cs.stanford.edu/~roozbeh/pascal-context/trainval.tar.gz",
)


def find(sources, split):
    """Images and label maps of "train" or "val"; see `Recipe`."""
    images, labels = sources.open(IMAGES), sources.open(LABELS)
    names = read_list(images, f"Main/{split}")
    return listed(images, names, "JPEGImages/{}.jpg"), listed(labels, names, "{}.mat")


def read_mat(data):
    """LabelMap of a MATLAB file -> (H, W) integers."""
    contents = loadmat(io.BytesIO(data), variable_names=["LabelMap"])
    if "LabelMap" not in contents:
        raise SourceError("no array LabelMap in it: not a file of PASCAL Context's trainval.tar.gz")
    ids = contents["LabelMap"]  # (H, W)
    return ids if ids.dtype.kind in "iu" else ids.astype(np.int64)


def _chosen(categories, others):
    """Maker of 8-bit maps: the classes of a list, and ``others`` for the rest of the 459."""
    _, raw_ids = read_categories(categories)
    rest = set(range(NUM_PUBLISHED + 1)) - set(raw_ids)
    table = make_table(raw_ids, dict.fromkeys(rest, others), NUM_PUBLISHED + 1)
    return LabelMaker(table, read_mat)


FULL_TABLE = make_table(np.arange(1, NUM_PUBLISHED + 1), {0: IGNORE_LABEL_16}, NUM_PUBLISHED + 1)
CONTEXT_59 = Recipe(
    {"pcontext_sem_seg_train": "train", "pcontext_sem_seg_val": "val"},
    find,
    _chosen("pascal_context_59", IGNORE_LABEL),
)
CONTEXT_60 = Recipe({"pcontext60_sem_seg_val": "val"}, find, _chosen("pascal_context_60", 0))
CONTEXT_459 = Recipe(
    {"pcontext_full_sem_seg_train": "train", "pcontext_full_sem_seg_val": "val"},
    find,
    LabelMaker(FULL_TABLE, read_mat, kind="TIFF"),
)
