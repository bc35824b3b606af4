"""What holds for every data set: interruptions, damage, missing parts, the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from san.cli import main
from san.data.datasets import DATASETS
from san.data.prepare import RECIPES, choose, prepare
from san.errors import UserError
from tests import archives

REPOSITORY = Path(__file__).parents[3]
ANNOTATIONS = "ADEChallengeData2016/annotations_detectron2"


def contents(root):
    """{file below the root: bytes}."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def run_script(name, *args, **env):
    return subprocess.run(
        [sys.executable, REPOSITORY / "datasets" / name, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
        capture_output=True,
        text=True,
    )


def test_script_of_a_data_set(downloads, root):
    """As documented: the archives in the root, all cores, a progress bar."""
    archives.write_voc(downloads)
    done = run_script("prepare_voc.py", "--subset", DETECTRON2_DATASETS=str(downloads))
    assert done.returncode == 0, done.stderr
    assert "voc21_sem_seg_val: 3 images and label maps made, 0 kept, 0 failed" in done.stdout
    assert "3/3" in done.stderr
    assert len(list((downloads / "VOC2012/annotations_detectron2_voc21/val").iterdir())) == 3


def test_every_data_set_has_a_script():
    scripts = "".join(path.read_text() for path in (REPOSITORY / "datasets").glob("*.py"))
    assert all(f'"{name}"' in scripts for name in RECIPES)


def test_help_names_every_data_set(capsys):
    with pytest.raises(SystemExit):
        main(["datasets", "prepare", "--help"])
    words = capsys.readouterr().out.replace(",", " ").split()
    assert {*RECIPES, "all"} <= set(words)


def test_command_line_with_processes(downloads, root, capsys):
    archives.write_ade20k(downloads, count=20)  # more than a process takes at a time
    argv = ["--root", str(root), "--archives", str(downloads), "--num-workers", "2", "--subset"]
    assert main(["datasets", "prepare", "ade20k_150", *argv]) == 0
    assert "ade20k_sem_seg_train: 20 images and label maps made" in capsys.readouterr().out


def test_several_at_once_and_one_of_them_missing(downloads, make, capsys):
    archives.write_ade20k(downloads)
    archives.write_cityscapes(downloads)
    (downloads / "gtFine_trainvaltest.zip").unlink()
    assert make("cityscapes", "ade20k_150") == 2
    captured = capsys.readouterr()
    assert captured.err.count("gtFine_trainvaltest.zip is not in") == 2
    assert "next: `san datasets check ade20k_sem_seg_train ade20k_sem_seg_val" in captured.out
    assert "ade20k_sem_seg_val: 2 images and label maps made" in captured.out


def test_second_run_keeps_what_is_done(downloads, root, make, capsys):
    archives.write_ade20k(downloads)
    archives.write_context(downloads)
    names = ("ade20k_150", "pascal_context_459")
    assert make(*names) == 0
    before = {path: path.stat().st_mtime_ns for path in contents(root)}
    assert make(*names) == 0
    assert {path: path.stat().st_mtime_ns for path in contents(root)} == before
    assert "made, 2 kept" in capsys.readouterr().out


def test_goes_on_after_an_interruption(downloads, root, make, capsys):
    """Missing, empty, cut off and resized files are made again."""
    archives.write_ade20k(downloads, count=6)
    archives.write_context(downloads)
    names = ("ade20k_sem_seg_val", "pcontext_full_sem_seg_val")
    make(*names)
    before = contents(root)
    missing, empty, cut, small, *_ = sorted((root / ANNOTATIONS / "validation").iterdir())
    missing.unlink()
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:-20])
    Image.new("L", (3, 3)).save(small)
    image = root / "ADEChallengeData2016/images/validation/ADE_val_00000005.jpg"
    image.write_bytes(image.read_bytes()[:-20])
    tiff = next((root / "pcontext_full/val/label").iterdir())
    tiff.write_bytes(tiff.read_bytes()[: tiff.stat().st_size // 2])
    capsys.readouterr()
    assert make(*names) == 0
    output = capsys.readouterr().out
    assert "ade20k_sem_seg_val: 5 images and label maps made, 1 kept" in output
    assert "pcontext_full_sem_seg_val: 1 images and label maps made, 1 kept" in output
    assert contents(root) == before


def test_ctrl_c_while_processes_work(downloads, root, make):
    """No trace of the program, no file by halves, and the next run makes the rest."""
    archives.write_ade20k_full(downloads, count=60)
    command = [sys.executable, "-m", "san.cli", "datasets", "prepare", "ade20k_847", "--subset"]
    command += ["--root", str(root), "--archives", str(downloads), "--num-workers", "2"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True)
    while not list(root.rglob("*.tif")) and run.poll() is None:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    error = run.communicate(timeout=60)[1].decode()
    assert run.returncode == 130 and error.endswith("\ninterrupted\n") and "Traceback" not in error
    made = contents(root)
    assert 0 < len(made) < 240 and not [path for path in made if path.suffix == ".tmp"]
    assert make("ade20k_847") == 0
    assert len(contents(root)) == 240 and made.items() <= contents(root).items()


def test_damaged_members_are_named_and_the_rest_is_done(downloads, root, make, capsys):
    """Flipped bytes in a zip: its checksums tell."""
    archives.write_ade20k(downloads, count=4)
    archive = downloads / "ADEChallengeData2016.zip"
    data = bytearray(archive.read_bytes())
    for name in ("images/validation/ADE_val_00000002.jpg", "annotations/training/ADE_train"):
        data[data.index(name.encode()) + 150] ^= 0xFF
    archive.write_bytes(data)
    assert make("ade20k_150") == 1
    output = capsys.readouterr().out
    assert "ade20k_sem_seg_val: 3 images and label maps made, 0 kept, 1 failed" in output
    image = "ADEChallengeData2016/images/validation/ADE_val_00000002.jpg"
    assert f"failed: {archive}: {image}: cannot read (wrong checksum)" in output
    assert "annotations/training/ADE_train_00000001.png: cannot read" in output
    assert "download ADEChallengeData2016.zip anew" in output
    assert not [path for path in contents(root) if path.suffix == ".tmp"]


def test_damaged_unpacked_files(downloads, make, capsys):
    archives.write_ade20k(downloads, count=4)
    archives.unpack(downloads / "ADEChallengeData2016.zip", downloads)
    (downloads / "ADEChallengeData2016.zip").unlink()
    folder = downloads / "ADEChallengeData2016"
    image = folder / "images/validation/ADE_val_00000001.jpg"
    image.write_bytes(image.read_bytes()[:900])
    picture = folder / "annotations/validation/ADE_val_00000002.png"
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(picture)
    small = folder / "annotations/validation/ADE_val_00000003.png"
    Image.fromarray(np.ones((5, 5), np.uint8)).save(small)
    assert make("ade20k_sem_seg_val") == 1
    output = capsys.readouterr().out
    assert f"failed: {image}: cannot read (" in output
    assert f"failed: {picture}: Pillow mode 'RGB' and not a label map" in output
    assert f"failed: {small}: the label map has 5 x 5 pixels and its image" in output
    assert "1 images and label maps made, 0 kept, 3 failed" in output


@pytest.mark.parametrize(
    ("write", "archive", "name"),
    [
        (archives.write_ade20k, "ADEChallengeData2016.zip", "ade20k_150"),
        (archives.write_voc, "VOCtrainval_11-May-2012.tar", "voc_21"),
    ],
)
@pytest.mark.parametrize("share", [0, 0.5])
def test_archive_that_is_cut_off(downloads, make, capsys, write, archive, name, share):
    write(downloads)
    path = downloads / archive
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert make(name) == 2
    error = capsys.readouterr().err
    assert f"{path}: not a whole archive" in error and "download it anew" in error


def test_archives_that_are_none(downloads, make, capsys):
    archives.write_context(downloads)
    (downloads / "trainval.tar.gz").write_bytes(b"<html>not found</html>")
    assert make("pascal_context_59") == 2
    assert "trainval.tar.gz: not a whole archive (Not a gzipped file" in capsys.readouterr().err


def test_no_room_for_a_decompressed_archive(downloads, root, make, capsys):
    archives.write_context(downloads)
    root.write_text("a file where the folder should be")
    assert make("pascal_context_59") == 2
    assert f"cannot write to {root}" in capsys.readouterr().err


def test_image_without_label_map(downloads, make, capsys):
    archives.write_ade20k(downloads)
    archives.unpack(downloads / "ADEChallengeData2016.zip", downloads)
    (downloads / "ADEChallengeData2016.zip").unlink()
    folder = downloads / "ADEChallengeData2016"
    (folder / "annotations/validation/ADE_val_00000001.png").unlink()
    (folder / "images/training/ADE_train_00000002.jpg").unlink()
    assert make("ade20k_150") == 1
    output = capsys.readouterr().out
    assert f"1 of 2 label maps are missing in {folder}: ADE_val_00000001; unpack" in output
    assert f"1 of 2 images are missing in {folder}: ADE_train_00000002; unpack" in output


def test_fewer_images_than_published(downloads, make, capsys):
    archives.write_ade20k(downloads)
    assert make("ade20k_sem_seg_val", subset=False) == 1
    output = capsys.readouterr().out
    assert "2 images and label maps made" in output
    assert "ade20k_sem_seg_val has 2 images with label maps here, and 2000 as published" in output


def test_a_split_that_is_not_there(downloads, make, capsys):
    archives.write_ade20k(downloads)
    archives.unpack(downloads / "ADEChallengeData2016.zip", downloads / "all")
    folder = downloads / "ADEChallengeData2016/images/training"
    folder.parent.mkdir(parents=True)
    (downloads / "all/ADEChallengeData2016/images/training").rename(folder)
    (downloads / "ADEChallengeData2016.zip").unlink()
    assert make("ade20k_sem_seg_val") == 2
    assert "holds no files of 'validation'" in capsys.readouterr().err


def test_unwritable_target(downloads, root, make, capsys):
    archives.write_ade20k(downloads)
    (root / "ADEChallengeData2016").mkdir(parents=True)
    (root / ANNOTATIONS).write_text("a file where a folder should be")
    assert make("ade20k_sem_seg_val") == 1
    assert "cannot write" in capsys.readouterr().out


@pytest.mark.parametrize("name", RECIPES)
def test_documented(name):
    """The table of datasets/README.md has every data set, its splits and their sizes."""
    table = (REPOSITORY / "datasets/README.md").read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in table if line.startswith(f"| `{name}` |"))
    for split in RECIPES[name].splits:
        assert f"`{split}`" in row and str(DATASETS[split].num_images[0]) in row


def test_names():
    assert len(choose(["all"])) == 18
    assert list(choose(["voc_20", "voc_sem_seg_val"])) == ["voc_sem_seg_train", "voc_sem_seg_val"]
    with pytest.raises(UserError, match="'voc' is no data set that .*voc_20, voc_21"):
        choose(["voc"])


def test_mistakes_of_the_command_line(tmp_path, capsys):
    with pytest.raises(UserError, match="--num-workers is 0"):
        prepare(["voc_20"], tmp_path, num_workers=0)
    missing = str(tmp_path / "none")
    assert main(["datasets", "prepare", "voc_20", "--archives", missing]) == 2
    assert f"the folder {missing} does not exist" in capsys.readouterr().err
