"""ADE20K with 150 classes, the scene parsing challenge of 2016: class = published value - 1."""

import numpy as np

from .label_maps import LabelMaker, make_table
from .recipe import Recipe, found
from .sources import Download

NUM_CLASSES = 150
IGNORE_LABEL = 255
ARCHIVE = Download(
    "ADEChallengeData2016.zip",
    "ADEChallengeData2016",
    ("ADEChallengeData2016",),
    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    (
        ("ADE20K_2021_17_01.zip", "the full ADE20K of 2021"),
        ("ADE20K_2021_17_01", "the full ADE20K of 2021"),
        ("ADE20K_2016_07_26.zip", "the full ADE20K of 2016"),
    ),
)


def find(sources, split):
    """Images and label maps of "training" or "validation"; see `Recipe`."""
    files = sources.open(ARCHIVE)
    return found(files, f"images/{split}/", ".jpg"), found(files, f"annotations/{split}/", ".png")


ADE20K_150 = Recipe(
    {"ade20k_sem_seg_train": "training", "ade20k_sem_seg_val": "validation"},
    find,
    LabelMaker(make_table(np.arange(1, NUM_CLASSES + 1), {0: IGNORE_LABEL})),
)
