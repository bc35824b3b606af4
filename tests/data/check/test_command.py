"""`san datasets check` as a user runs it."""

import pytest

from san.cli import main
from san.data.shapescenes.prepare import main as prepare_shapescenes
from tests.miniatures import write_ade20k
from tests.own_data import write_photos, write_yaml


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """A folder of data sets, set as DETECTRON2_DATASETS, and back afterwards."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nothing"))
    return tmp_path


def check(*arguments):
    return main(["datasets", "check", *map(str, arguments)])


def test_own_data_set(root, capsys):
    write_photos(root, 3)
    path = write_yaml(root)
    assert check(path, "--output", root / "pages", "--num-workers", 2) == 0
    out = capsys.readouterr().out
    assert "own.yaml: no problems\n  images   3\n" in out
    assert f"page     {root / 'pages' / 'own.html'}" in out
    assert (root / "pages" / "own.html").is_file()
    assert "next:" in out and "san evaluate" in out
    (root / "masks" / "001.png").write_bytes(b"")
    assert check(path) == 1
    out = capsys.readouterr().out
    assert "own.yaml: 1 problem\n" in out and "mend or remove the files named above" in out


def test_all_that_are_there(root, capsys):
    """What is not there is listed, and is no problem unless it was asked for by name."""
    assert prepare_shapescenes(["--root", str(root), "--scale", "0.002"]) == 0
    capsys.readouterr()
    assert check("--root", root) == 0
    out = capsys.readouterr().out
    assert "shapescenes_train: no problems\n  images   20 (complete: 20)\n" in out
    assert "not there: coco_2017_train_stuff_sem_seg, " in out and ": missing" not in out
    assert check("shapescenes_val", "voc_sem_seg_val", "--root", root, "--limit", 1) == 1
    out = capsys.readouterr().out
    assert "voc_sem_seg_val: missing" in out and "prepare voc_20`" in out
    (root / "shapescenes" / "labels" / "train" / "000003.png").unlink()
    (root / "shapescenes" / "images" / "train" / "000003.jpg").unlink()
    assert check("shapescenes_train", "--root", root) == 1
    out = capsys.readouterr().out
    assert "19 images with a label map, but the complete data set has 20; to add" in out
    assert out.count("python datasets/prepare_shapescenes.py") == 2


def test_nothing_there(capsys):
    assert check() == 1
    out = capsys.readouterr().out
    assert "no data set is there" in out and "prepare_shapescenes.py" in out


def test_incomplete(root, capsys):
    write_ade20k(root, 2)
    assert check("ade20k_sem_seg_val", "--root", root) == 1
    out = capsys.readouterr().out
    assert "2 images with a label map, but the complete data set has 2000; to add" in out
    assert "then run `san datasets prepare ade20k_150`" in out


@pytest.mark.parametrize("arguments, message", [
    (["no_such_set"], "no data set 'no_such_set' is registered"),
    (["none.yaml"], "none.yaml cannot be read"),
    (["--limit", "0"], "--limit is 0; give 1 or more"),
    (["--num-workers", "-1"], "--num-workers is -1; give 1 or more"),
    (["--root", "no_such_folder"], "--root no_such_folder is no folder"),
])  # fmt: skip
def test_mistakes(capsys, arguments, message):
    assert check(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
