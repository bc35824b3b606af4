"""COCO-Stuff 164k and COCO-Object: images of COCO 2017, label maps of stuffthingmaps.

A published pixel is the COCO id minus 1 (things 0 to 89, stuff 91 to 181, with gaps), 255 where
unlabeled. COCO-Object counts the 80 things as classes 1 to 80 and all else, unlabeled pixels
too, as background 0.
"""

import numpy as np

from ..datasets import read_categories
from .label_maps import LabelMaker, make_table
from .recipe import Recipe, found
from .sources import Download

UNLABELED = IGNORE_LABEL = 255
NUM_THINGS = 80
LABELS = Download(
    "stuffthingmaps_trainval2017.zip",
    "",
    ("coco/stuffthingmaps", "stuffthingmaps"),
    "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/"
    "stuffthingmaps_trainval2017.zip",
    (
        ("stuff_trainval2017.zip", "the annotation without things"),
        ("cocostuff-10k-v1.1.zip", "COCO-Stuff 10k"),
    ),
)


def images_of(split):
    """Download of the images of "train2017" or "val2017"."""
    year_2014 = split.replace("2017", "2014")
    return Download(
        f"{split}.zip",
        split,
        (f"coco/{split}", split),
        f"http://images.cocodataset.org/zips/{split}.zip",
        ((f"{year_2014}.zip", "COCO 2014"), (year_2014, "COCO 2014")),
    )


def find(sources, split):
    """Images and label maps of "train2017" or "val2017"; see `Recipe`."""
    images, labels = sources.open(images_of(split)), sources.open(LABELS)
    return found(images, "", ".jpg"), found(labels, f"{split}/", ".png")


def stuff_table():
    """(256,) training ids of published pixels for the 171 classes."""
    _, coco_ids = read_categories("coco_stuff_171")
    return make_table(np.array(coco_ids) - 1, {UNLABELED: IGNORE_LABEL})


def object_table():
    """(256,) training ids of published pixels for the 80 things and background."""
    table = stuff_table()
    is_thing = (table >= 0) & (table < NUM_THINGS)
    return np.where(is_thing, table + 1, np.where(table >= 0, 0, -1))


STUFF = Recipe(
    {
        "coco_2017_train_stuff_sem_seg": "train2017",
        "coco_2017_test_stuff_sem_seg": "val2017",
    },
    find,
    LabelMaker(stuff_table()),
)
OBJECT = Recipe({"coco_object_sem_seg_val": "val2017"}, find, LabelMaker(object_table()))
