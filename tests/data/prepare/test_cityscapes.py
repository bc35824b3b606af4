"""Cityscapes from leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip."""

from san.data.prepare.cityscapes import train_ids
from tests import archives
from tests.data.prepare.checks import assert_labels

TRAIN_IDS = {7: 0, 23: 10, 26: 13, 33: 18}


def test_cities_stay_folders(downloads, root, make):
    published = archives.write_cityscapes(downloads)
    assert make("cityscapes") == 0
    assert_labels("cityscapes_fine_sem_seg_train", published["train"], TRAIN_IDS, default=255)
    assert_labels("cityscapes_fine_sem_seg_val", published["val"], TRAIN_IDS, default=255)
    name = "lindau/lindau_000001_000019"
    assert (root / f"cityscapes/leftImg8bit/val/{name}_leftImg8bit.png").exists()
    assert (root / f"cityscapes/gtFine/val/{name}_gtFine_labelTrainIds.png").exists()


def test_train_ids():
    """Those of the Cityscapes label table; the others are ignored."""
    expected = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    table = train_ids()
    assert table[expected].tolist() == list(range(19))
    assert (table == 255).sum() == 34 - 19


def test_the_coarse_annotation(downloads, make, capsys):
    archives.write_cityscapes(downloads)
    (downloads / "gtFine_trainvaltest.zip").rename(downloads / "gtCoarse.zip")
    assert make("cityscapes") == 2
    assert "gtCoarse.zip, but that is the coarse annotation" in capsys.readouterr().err
