"""PASCAL VOC 2012: 20 classes, or with background as the first (21) or the last class (20b).

A published label map is a palette PNG: 0 background, 1 to 20 the classes, 255 the border of
objects, which is ignored. For training the label maps of SBD (SegmentationClassAug, 10582 images)
count where they are there.
"""

import numpy as np

from .label_maps import LabelMaker, make_table
from .recipe import Recipe, listed
from .sources import Download

NUM_CLASSES = 20
BORDER = IGNORE_LABEL = 255
MAIN = Download(
    "VOCtrainval_11-May-2012.tar",
    "VOCdevkit/VOC2012",
    ("VOCdevkit/VOC2012", "VOC2012"),
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    (
        ("VOCtrainval_06-Nov-2007.tar", "PASCAL VOC 2007"),
        ("VOCtrainval_03-May-2010.tar", "PASCAL VOC 2010"),
        ("VOCdevkit/VOC2007", "PASCAL VOC 2007"),
        ("VOC2007", "PASCAL VOC 2007"),
    ),
)
SBD = Download(
    "SegmentationClassAug.zip",
    "SegmentationClassAug",
    (
        "VOCdevkit/VOC2012/SegmentationClassAug",
        "VOC2012/SegmentationClassAug",
        "SegmentationClassAug",
    ),
    "https://www.dropbox.com/s/oeu149j8qtbs1x0/SegmentationClassAug.zip",
)


def find(sources, split):
    """Images and label maps of "train" or "val"; see `Recipe`."""
    main = sources.open(MAIN)
    if split == "train" and sources.has(SBD):
        labels, pattern = sources.open(SBD), "{}.png"
        names = sorted(set(labels.names("", ".png")) - set(read_list(main, "Segmentation/val")))
    else:
        labels, pattern = main, "SegmentationClass/{}.png"
        names = read_list(main, f"Segmentation/{split}")
    return listed(main, names, "JPEGImages/{}.jpg"), listed(labels, names, pattern)


def read_list(files, name):
    """Image names of a list in ImageSets; the first column where there are several.

    Raises:
        UserError: the list is missing.
    """
    text = files.need(f"ImageSets/{name}.txt").read().decode()
    return [line.split()[0] for line in text.splitlines() if line.strip()]


CLASSES = np.arange(1, NUM_CLASSES + 1)
VOC_20 = Recipe(
    {"voc_sem_seg_train": "train", "voc_sem_seg_val": "val"},
    find,
    LabelMaker(make_table(CLASSES, {0: IGNORE_LABEL, BORDER: IGNORE_LABEL}), empty=IGNORE_LABEL),
)
VOC_21 = Recipe(
    {"voc21_sem_seg_val": "val"},
    find,
    LabelMaker(make_table([0, *CLASSES], {BORDER: IGNORE_LABEL})),
)
VOC_20B = Recipe(
    {"voc20b_sem_seg_val": "val"},
    find,
    LabelMaker(make_table([*CLASSES, 0], {BORDER: IGNORE_LABEL})),
)
