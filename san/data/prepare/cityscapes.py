"""Cityscapes, fine annotation: label ids -> the 19 training ids; all other labels are ignored.

The label maps are those that the Cityscapes scripts call labelTrainIds, under the same names.
"""

from ..datasets import read_categories
from .label_maps import LabelMaker, make_table
from .recipe import Recipe, found
from .sources import Download

NUM_LABELS = 34  # ids 0 to 33 in a label map
IGNORE_LABEL = 255
HOME = "https://www.cityscapes-dataset.com/downloads/"
IMAGES = Download(
    "leftImg8bit_trainvaltest.zip", "leftImg8bit", ("cityscapes/leftImg8bit", "leftImg8bit"), HOME
)
LABELS = Download(
    "gtFine_trainvaltest.zip",
    "gtFine",
    ("cityscapes/gtFine", "gtFine"),
    HOME,
    (("gtCoarse.zip", "the coarse annotation"), ("gtCoarse", "the coarse annotation")),
)


def find(sources, split):
    """Images and label maps of "train" or "val", named CITY/NAME; see `Recipe`."""
    images, labels = sources.open(IMAGES), sources.open(LABELS)
    return (
        found(images, f"{split}/", "_leftImg8bit.png"),
        found(labels, f"{split}/", "_gtFine_labelIds.png"),
    )


def train_ids():
    """(34,) training ids of the published label ids."""
    _, label_ids = read_categories("cityscapes_19")
    ignored = set(range(NUM_LABELS)) - set(label_ids)
    return make_table(label_ids, dict.fromkeys(ignored, IGNORE_LABEL), NUM_LABELS)


CITYSCAPES = Recipe(
    {"cityscapes_fine_sem_seg_train": "train", "cityscapes_fine_sem_seg_val": "val"},
    find,
    LabelMaker(train_ids()),
)
