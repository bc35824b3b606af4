"""PASCAL VOC 2012 from its tar, with and without the label maps of SBD."""

import numpy as np

from tests import archives
from tests.data.prepare.checks import assert_labels

VOC_20 = {0: 255, 1: 0, 7: 6, 12: 11, 20: 19, 255: 255}
VOC_21 = {0: 0, 1: 1, 7: 7, 12: 12, 20: 20, 255: 255}
VOC_20B = {0: 20, 1: 0, 7: 6, 12: 11, 20: 19, 255: 255}


def test_palette_label_maps(downloads, make):
    published = archives.write_voc(downloads)
    assert make("voc_20", "voc_21", "voc_20b") == 0
    assert_labels("voc_sem_seg_train", published["train"], VOC_20)
    assert_labels("voc_sem_seg_val", published["val"], VOC_20)
    assert_labels("voc21_sem_seg_val", published["val"], VOC_21)
    assert_labels("voc20b_sem_seg_val", published["val"], VOC_20B)


def test_training_takes_the_label_maps_of_sbd(downloads, root, make):
    """All of them but those of the validation images, which stay out of training."""
    published = archives.write_voc(downloads)
    archives.write_sbd(downloads, published)
    assert make("voc_20") == 0
    folder = root / "VOC2012/annotations_detectron2"
    train = {path.stem for path in (folder / "train").iterdir()}
    assert train == {*published["train"], "2012_detection"}
    assert {path.stem for path in (folder / "val").iterdir()} == published["val"].keys()
    assert (root / "VOC2012/JPEGImages/2012_detection.jpg").exists()


def test_an_image_without_any_class_is_left_out(downloads, root, make, capsys):
    published = archives.write_voc(downloads)
    empty = np.where(published["train"]["2012_train_1"] > 0, 255, 0).astype(np.uint8)
    archives.write_sbd(downloads, {"train": {"2012_train_1": empty}, "val": {}})
    assert make("voc_sem_seg_train") == 0
    assert "1 without any class left out" in capsys.readouterr().out
    labels = root / "VOC2012/annotations_detectron2/train"
    assert [path.stem for path in labels.iterdir()] == ["2012_detection"]


def test_the_archive_of_another_year(downloads, make, capsys):
    archives.write_voc(downloads, year="2007", archive="VOCtrainval_06-Nov-2007.tar")
    assert make("voc_21") == 2
    error = capsys.readouterr().err
    assert "VOCtrainval_11-May-2012.tar is not in" in error
    assert "VOCtrainval_06-Nov-2007.tar, but that is PASCAL VOC 2007" in error


def test_another_year_under_the_right_name(downloads, make, capsys):
    archives.write_voc(downloads, year="2007")
    assert make("voc_21") == 2
    error = capsys.readouterr().err
    assert "holds VOCdevkit/VOC2007 and not VOCdevkit/VOC2012/" in error
    assert "download VOCtrainval_11-May-2012.tar anew from http://host.robots.ox" in error
