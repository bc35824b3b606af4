"""Lists of seen classes: complete, true to their rule, and found by class names."""

import re
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import Metadata, MetadataCatalog

import san.data.datasets
from san.data.datasets import DATASETS, read_categories
from san.errors import UserError
from san.evaluation.seen import read_seen_list, seen_groups

COCO_STUFF = Path(san.data.datasets.__file__).parent / "seen" / "coco_stuff"
# Names that both have, for different things
HOMONYMS = {
    "buffet, counter, sideboard",
    "andiron, firedog, dog, dog-iron",
    "patty, cake",
    "document, written document, papers",
    "newspaper, paper",
}
# (seen, unseen, neither)
COUNTS = {
    "voc_sem_seg_val": (20, 0, 0),
    "voc21_sem_seg_val": (20, 0, 1),
    "pcontext_sem_seg_val": (54, 5, 0),
    "pcontext60_sem_seg_val": (54, 5, 1),
    "pcontext_full_sem_seg_val": (101, 358, 0),
    "ade20k_sem_seg_val": (69, 81, 0),
    "ade20k_full_sem_seg_val": (118, 729, 0),
    "coco_2017_test_stuff_sem_seg": (171, 0, 0),
    "coco_object_sem_seg_val": (80, 0, 1),
    "cityscapes_fine_sem_seg_val": (15, 4, 0),
}


def plain(word):
    word = re.sub(r"-(other|stuff)$", "", word.strip().lower())
    return re.sub(r"(?<!s)s$", "", re.sub(r"[\s-]", "", word))


@pytest.mark.parametrize("path", sorted(COCO_STUFF.glob("*.txt")), ids=lambda path: path.stem)
def test_list_follows_its_rule(path):
    """Rule 1, equal names, decides for every class but the homonyms; rule 2 only adds classes."""
    coco = read_categories("coco_stuff_171")[0]
    plain_coco = {plain(name) for name in coco}
    for name, match in read_seen_list(path).items():
        assert match == "" or match in coco
        same_name = any(plain(word) in plain_coco for word in name.split(","))
        assert match == "" if name in HOMONYMS else match != "" or not same_name, name


@pytest.mark.parametrize("name", COUNTS)
def test_every_data_set_has_a_list(name):
    groups = seen_groups(MetadataCatalog.get(name), "coco_stuff")
    assert len(groups) == len(MetadataCatalog.get(name).stuff_classes)
    assert tuple(int((groups == value).sum()) for value in (1, 0, -1)) == COUNTS[name]
    assert COUNTS.keys() >= {n for n in DATASETS if n.endswith("val")} - {"voc20b_sem_seg_val"}


def test_classes_of_ade():
    metadata = MetadataCatalog.get("ade20k_sem_seg_val")
    groups = dict(zip(metadata.stuff_classes, seen_groups(metadata, "coco_stuff"), strict=True))
    assert groups["sofa"] == groups["wall"] == groups["window "] == 1
    assert groups["armchair"] == groups["computer"] == groups["buffet, counter, sideboard"] == 0


def test_own_list_of_the_metadata():
    own = Metadata(name="own", stuff_classes=["a", "b", "rest"], seen=[True, False, None])
    np.testing.assert_array_equal(seen_groups(own), [1, 0, -1])
    np.testing.assert_array_equal(seen_groups(own, "coco_stuff"), [1, 0, -1])  # has no list there
    assert seen_groups(Metadata(name="none", stuff_classes=["a"])) is None


def test_a_list_takes_precedence():
    metadata = Metadata(name="pets", stuff_classes=["cat", "dog"], seen=[False, False])
    np.testing.assert_array_equal(seen_groups(metadata, "coco_stuff"), [1, 1])


def test_unknown_list_and_data_set_without_one():
    metadata = Metadata(name="fruit_set", stuff_classes=["durian"])
    with pytest.raises(UserError, match="TEST.SEEN_CLASSES is 'imagenet'; the lists are: coco_st"):
        seen_groups(metadata, "imagenet")
    with pytest.raises(UserError, match="'coco_stuff' does not cover .*'fruit_set'; give its meta"):
        seen_groups(metadata, "coco_stuff")
