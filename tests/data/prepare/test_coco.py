"""COCO-Stuff 164k and COCO-Object from train2017.zip, val2017.zip, stuffthingmaps."""

import numpy as np

from san.data.prepare.coco import object_table, stuff_table
from tests import archives
from tests.data.prepare.checks import assert_labels

STUFF = {0: 0, 2: 2, 87: 77, 123: 112, 156: 145, 181: 170, 255: 255}
OBJECT = {0: 1, 2: 3, 87: 78}  # person, car, teddy bear; all else is background


def test_stuff_and_object(downloads, make):
    published = archives.write_coco(downloads)
    assert make("coco_stuff", "coco_object") == 0
    assert_labels("coco_2017_train_stuff_sem_seg", published["train2017"], STUFF)
    assert_labels("coco_2017_test_stuff_sem_seg", published["val2017"], STUFF)
    assert_labels("coco_object_sem_seg_val", published["val2017"], OBJECT, default=0)


def test_stuff_ids():
    """Published value = COCO id - 1: its gaps (12 is no class) have no training id."""
    table = stuff_table()
    assert table[[0, 10, 12, 181, 255]].tolist() == [0, 10, 11, 170, 255]
    assert table[[11, 25, 182, 254]].tolist() == [-1] * 4
    assert sorted(table[table >= 0].tolist()) == [*range(171), 255]


def test_object_ids():
    """Things are 1 to 80; stuff and unlabeled pixels are background."""
    table = object_table()
    assert table[[0, 10, 12, 89]].tolist() == [1, 11, 12, 80]
    assert table[[91, 181, 255]].tolist() == [0] * 3
    assert table[[11, 25, 90, 254]].tolist() == [-1] * 4
    assert np.unique(table).tolist() == [-1, *range(81)]


def test_one_split_needs_the_downloads_of_that_split_alone(downloads, make):
    published = archives.write_coco(downloads)
    (downloads / "train2017.zip").unlink()
    assert make("coco_2017_test_stuff_sem_seg") == 0
    assert_labels("coco_2017_test_stuff_sem_seg", published["val2017"], STUFF)


def test_the_images_of_2014(downloads, make, capsys):
    archives.write_coco(downloads)
    (downloads / "val2017.zip").rename(downloads / "val2014.zip")
    assert make("coco_object") == 2
    error = capsys.readouterr().err
    assert f"val2017.zip is not in {downloads}" in error
    assert "download it from http://images.cocodataset.org/zips/val2017.zip" in error
    assert "val2014.zip, but that is COCO 2014" in error
