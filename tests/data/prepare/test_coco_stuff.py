"""Preparing COCO-Stuff, on a miniature and on damaged files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from san.data.prepare.coco_stuff import main, prepare, train_ids
from san.errors import UserError
from tests.miniatures import write_coco_stuff

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def raw_root(tmp_path):
    """Root folder with a miniature COCO-Stuff as published."""
    write_coco_stuff(tmp_path, num_train=4, num_val=3, prepared=False)
    return tmp_path


def label_maps(root):
    """{path below the label folder: pixels} of all prepared label maps."""
    folder = root / "coco/stuffthingmaps_detectron2"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): np.array(Image.open(path)) for path in files}


def test_script_makes_what_the_data_set_reads(raw_root, tmp_path, monkeypatch):
    """The command as documented, from a folder of its own."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "datasets/prepare_coco_stuff.py"],
        env={
            **os.environ,
            "DETECTRON2_DATASETS": str(raw_root),
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "7 label maps converted, 0 kept, 0 failed" in done.stdout
    assert "7/7" in done.stderr  # the progress bar
    write_coco_stuff(tmp_path / "expected", num_train=4, num_val=3)
    expected, found = label_maps(tmp_path / "expected"), label_maps(raw_root)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].dtype == np.uint8
    monkeypatch.setenv("DETECTRON2_DATASETS", str(raw_root))
    assert len(DatasetCatalog.get("coco_2017_train_stuff_sem_seg")) == 4


def test_train_ids():
    """Published value = COCO id - 1: its gaps (12 is no class) have no training id."""
    table = train_ids()
    assert table[[0, 10, 12, 181, 255]].tolist() == [0, 10, 11, 170, 255]
    assert table[[11, 25, 182, 254]].tolist() == [-1] * 4
    assert sorted(table[table >= 0].tolist()) == [*range(171), 255]


def test_second_run_keeps_what_is_done(raw_root):
    assert prepare(raw_root) == (7, 0, [])
    times = {path: path.stat().st_mtime_ns for path in raw_root.rglob("*.png")}
    assert prepare(raw_root) == (0, 7, [])
    assert times == {path: path.stat().st_mtime_ns for path in raw_root.rglob("*.png")}


def test_resumes_after_an_interruption(raw_root):
    """Missing, empty and truncated outputs are made again, and so is one of another size."""
    prepare(raw_root)
    expected = label_maps(raw_root)
    folder = raw_root / "coco/stuffthingmaps_detectron2/train2017"
    first, second, third, fourth = sorted(folder.iterdir())
    first.unlink()
    second.write_bytes(b"")
    third.write_bytes(third.read_bytes()[:-20])
    Image.new("L", (3, 3)).save(fourth)
    assert prepare(raw_root) == (4, 3, [])
    found = label_maps(raw_root)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_bad_sources_are_listed_and_the_rest_is_done(raw_root, capsys):
    folder = raw_root / "coco/stuffthingmaps/train2017"
    cut, unknown, wide, _ = sorted(folder.iterdir())
    cut.write_bytes(cut.read_bytes()[:60])
    pixels = np.array(Image.open(unknown))
    pixels[0, :2] = 11, 200
    Image.fromarray(pixels).save(unknown)
    Image.fromarray(np.full((5, 5), 300, np.uint16)).save(wide)
    assert main(["--root", str(raw_root)]) == 1
    output = capsys.readouterr().out
    assert "4 label maps converted, 0 kept, 3 failed" in output
    assert f"failed: {cut}: cannot read" in output
    assert f"failed: {unknown}: unknown pixel values 11, 200;" in output
    assert f"failed: {wide}: unknown pixel values 300;" in output
    assert len(label_maps(raw_root)) == 4  # and no partial file

    write_coco_stuff(raw_root, num_train=4, num_val=3, prepared=False)
    assert main(["--root", str(raw_root)]) == 0
    assert "3 label maps converted, 4 kept, 0 failed" in capsys.readouterr().out


def test_unwritable_target_is_reported(raw_root):
    folder = raw_root / "coco/stuffthingmaps_detectron2"
    folder.mkdir()
    (folder / "val2017").write_text("a file where a folder should be")
    num_converted, num_kept, errors = prepare(raw_root)
    assert (num_converted, num_kept, len(errors)) == (4, 0, 3)
    assert "cannot write" in errors[0] and "val2017/000000000001.png" in errors[0]


@pytest.mark.parametrize("missing", ["train2017", "val2017"])
def test_missing_folder_names_the_archive(raw_root, capsys, missing):
    (raw_root / "coco/stuffthingmaps" / missing).rename(raw_root / "elsewhere")
    with pytest.raises(UserError, match=rf"stuffthingmaps/{missing}: no label maps"):
        prepare(raw_root)
    assert main(["--root", str(raw_root)]) == 2
    error = capsys.readouterr().err
    assert "stuffthingmaps_trainval2017.zip" in error and "Traceback" not in error
    assert not label_maps(raw_root)
