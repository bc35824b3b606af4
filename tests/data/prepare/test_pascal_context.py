"""PASCAL Context from VOC 2010 and trainval.tar.gz of MATLAB files."""

import io
import os

import numpy as np
from scipy.io import savemat

from tests import archives
from tests.data.prepare.checks import assert_labels

CONTEXT_59 = {2: 0, 187: 28, 397: 49, 458: 58}
CONTEXT_60 = {raw: train_id + 1 for raw, train_id in CONTEXT_59.items()}
CONTEXT_459 = {0: 65535, **{raw: raw - 1 for raw in archives.CONTEXT.values()}}


def test_three_class_lists_from_one_annotation(downloads, root, make):
    published = archives.write_context(downloads)
    assert make("pascal_context_59", "pascal_context_60", "pascal_context_459") == 0
    assert_labels("pcontext_sem_seg_train", published["train"], CONTEXT_59, default=255)
    assert_labels("pcontext_sem_seg_val", published["val"], CONTEXT_59, default=255)
    assert_labels("pcontext60_sem_seg_val", published["val"], CONTEXT_60, default=0)
    assert_labels("pcontext_full_sem_seg_train", published["train"], CONTEXT_459)
    assert_labels("pcontext_full_sem_seg_val", published["val"], CONTEXT_459)
    assert not [name for name in os.listdir(root) if name.startswith(".")]  # the decompressed tar


def test_bad_matlab_files(downloads, root, make, capsys):
    published = archives.write_context(downloads, count=3)["val"]
    archives.unpack(downloads / "trainval.tar.gz", downloads)
    (downloads / "trainval.tar.gz").unlink()
    no_map, cut, outside = (downloads / f"trainval/{name}.mat" for name in published)
    file = io.BytesIO()
    savemat(file, {"other": np.ones((4, 4))})
    no_map.write_bytes(file.getvalue())
    cut.write_bytes(cut.read_bytes()[:150])
    ids = published[outside.stem]
    ids[0, 0] = 460
    outside.write_bytes(archives.mat(ids))
    assert make("pcontext_full_sem_seg_val") == 1
    output = capsys.readouterr().out
    assert f"failed: {no_map}: no array LabelMap in it" in output
    assert f"failed: {cut}: cannot read (" in output
    assert f"failed: {outside}: unknown pixel values 460" in output
    assert "unpack this file anew from its archive" in output


def test_a_compressed_archive_that_is_cut_off(downloads, make, capsys):
    archives.write_context(downloads)
    archive = downloads / "trainval.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-100])
    assert make("pascal_context_459") == 2
    error = capsys.readouterr().err
    assert f"{archive}: not a whole archive" in error and "download it anew" in error


def test_the_images_of_2012(downloads, make, capsys):
    archives.write_context(downloads)
    (downloads / "VOCtrainval_03-May-2010.tar").unlink()
    archives.write_voc(downloads, count=1)
    assert make("pascal_context_59") == 2
    assert "VOCtrainval_11-May-2012.tar, but that is PASCAL VOC 2012" in capsys.readouterr().err
