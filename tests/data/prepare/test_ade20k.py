"""ADE20K with 150 classes from ADEChallengeData2016.zip."""

from tests import archives
from tests.data.prepare.checks import assert_labels

TRAIN_IDS = {0: 255, 1: 0, 3: 2, 21: 20, 150: 149}


def test_from_the_archive(downloads, make):
    published = archives.write_ade20k(downloads)
    assert make("ade20k_150") == 0
    assert_labels("ade20k_sem_seg_train", published["training"], TRAIN_IDS)
    assert_labels("ade20k_sem_seg_val", published["validation"], TRAIN_IDS)


def test_unpacked_in_place(downloads, root, make):
    """Images lie where they are read from, and are not written again."""
    published = archives.write_ade20k(downloads)
    archives.unpack(downloads / "ADEChallengeData2016.zip", root)
    (downloads / "ADEChallengeData2016.zip").unlink()
    images = sorted(root.rglob("*.jpg"))
    times = [path.stat().st_mtime_ns for path in images]
    assert make("ade20k_sem_seg_val") == 0
    assert_labels("ade20k_sem_seg_val", published["validation"], TRAIN_IDS)
    assert sorted(root.rglob("*.jpg")) == images
    assert [path.stat().st_mtime_ns for path in images] == times


def test_labels_outside_the_class_list(downloads, make, capsys):
    published = archives.write_ade20k(downloads)
    archives.unpack(downloads / "ADEChallengeData2016.zip", downloads)
    (downloads / "ADEChallengeData2016.zip").unlink()
    label = downloads / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"
    ids = published["validation"]["ADE_val_00000001"]
    ids[0, :2] = 151, 200
    label.write_bytes(archives.png(ids))
    assert make("ade20k_sem_seg_val") == 1
    output = capsys.readouterr().out
    assert f"failed: {label}: unknown pixel values 151, 200: labels outside the class" in output
    assert "1 images and label maps made, 0 kept, 1 failed" in output


def test_the_full_edition_instead(downloads, make, capsys):
    archives.write_ade20k_full(downloads)
    assert make("ade20k_150") == 2
    assert "but that is the full ADE20K of 2021" in capsys.readouterr().err
