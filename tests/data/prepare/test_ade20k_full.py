"""ADE20K with 847 classes from ADE20K_2021_17_01.zip and its pickled index."""

import pickle

import numpy as np
import pytest
from PIL import Image

from san.data.prepare.ade20k_full import new_size, read_seg, split_of
from tests import archives
from tests.data.prepare.checks import assert_labels

TRAIN_IDS = {2978: 0, 2420: 2, 2855: 3, 3148: 846}  # the rest is ignored


def test_from_the_archive(downloads, make):
    published = archives.write_ade20k_full(downloads)
    assert make("ade20k_847") == 0
    assert_labels("ade20k_full_sem_seg_train", published["training"], TRAIN_IDS, default=65535)
    assert_labels("ade20k_full_sem_seg_val", published["validation"], TRAIN_IDS, default=65535)


def test_large_images_are_scaled_down(downloads, root, make):
    published = archives.write_ade20k_full(downloads, count=1, scale=12)
    assert make("ade20k_full_sem_seg_val") == 0
    (ids,) = published["validation"].values()
    (image,) = (root / "ADE20K_2021_17_01/images_detectron2/validation").iterdir()
    (label,) = (root / "ADE20K_2021_17_01/annotations_detectron2/validation").iterdir()
    labels = np.array(Image.open(label))
    assert min(ids.shape) > 512 and min(labels.shape) == 512
    assert Image.open(image).size == labels.shape[::-1]
    rows = (np.arange(labels.shape[0]) * ids.shape[0] / labels.shape[0]).astype(int)
    columns = (np.arange(labels.shape[1]) * ids.shape[1] / labels.shape[1]).astype(int)
    nearest = ids[np.ix_(rows, columns)]
    expected = np.vectorize(lambda raw: TRAIN_IDS.get(raw, 65535))(nearest)
    assert (labels == expected).mean() > 0.999  # rounding at the borders


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 2000), (512, 2000)),
        ((300, 200), (300, 200)),
        ((1536, 2048), (512, 683)),
        ((2048, 1536), (683, 512)),
        ((600, 600), (512, 512)),
    ],
)
def test_new_size(size, expected):
    assert new_size(*size) == expected


def test_ids_of_colors():
    """R in steps of 10, G: "road, route" is 2131 = 8 * 256 + 83."""
    colors = np.zeros((4, 4, 3), np.uint8)
    colors[0, :2] = (80, 83, 5), (89, 83, 200)
    assert read_seg(archives.png(colors))[0].tolist() == [2131, 2131, 0, 0]


def test_split_of_file_names():
    names = ("ADE_val_00000001.jpg", "ADE_train_00000001.jpg", "ADE_frame_00000006.jpg", "x.jpg")
    assert [split_of(name) for name in names] == ["validation", *["training"] * 3]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"cut", "not a whole pickle"),
        (pickle.dumps(["a list"]), "not a dictionary"),
        (pickle.dumps({"filename": ["a.jpg"]}), "'folder'"),
        (pickle.dumps({"filename": [], "folder": ["a"]}), "shorter"),
        (pickle.dumps({"filename": ["a.jpg"], "folder": [1]}), "not a list of strings"),
    ],
)
def test_bad_index(downloads, make, capsys, index, message):
    archives.write_zip(
        downloads / "ADE20K_2021_17_01.zip", {"ADE20K_2021_17_01/index_ade20k.pkl": index}
    )
    assert make("ade20k_847") == 2
    error = capsys.readouterr().err
    assert "index_ade20k.pkl: not the index of ADE20K" in error and message in error


def test_images_of_the_index_that_are_not_there(downloads, make, capsys):
    """Unpacked in part: the index tells what is missing."""
    archives.write_ade20k_full(downloads)
    archives.unpack(downloads / "ADE20K_2021_17_01.zip", downloads)
    (downloads / "ADE20K_2021_17_01.zip").unlink()
    folder = downloads / "ADE20K_2021_17_01/images/ADE/validation/urban/street"
    (folder / "ADE_val_00000002_seg.png").unlink()
    assert make("ade20k_full_sem_seg_val") == 1
    output = capsys.readouterr().out
    assert "1 images and label maps made" in output
    assert "1 of 2 label maps are missing in" in output and "ADE_val_00000002" in output
    assert "unpack ADE20K_2021_17_01.zip" in output


def test_the_edition_of_2016(downloads, make, capsys):
    (downloads / "ADE20K_2016_07_26").mkdir()
    assert make("ade20k_847") == 2
    assert "that is the edition of 2016, which has other ids" in capsys.readouterr().err
