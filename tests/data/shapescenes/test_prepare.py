"""The written data set: nothing leaks, nothing depends on chance, nothing is lost."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from san.data.datasets import load_label_map
from san.data.shapescenes.classes import CLASSES
from san.data.shapescenes.label_sets import IGNORE_LABEL, LABEL_SETS
from san.data.shapescenes.prepare import count_images, main, prepare
from san.data.shapescenes.render import render
from san.data.shapescenes.splits import SPLITS, plan_item
from san.data.shapescenes.writer import image_name, label_name, to_labels
from san.errors import UserError

from .conftest import SCALE, SEED

REPOSITORY = Path(__file__).parents[3]


def _read(root, file):
    return json.loads((root / "shapescenes" / file).read_text())


def _lines(root, file):
    return [json.loads(line) for line in (root / "shapescenes" / file).read_text().splitlines()]


def _contents(root):
    folder = root / "shapescenes"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def copy(written, tmp_path):
    """A copy of the small data set, to be damaged."""
    shutil.copytree(written, tmp_path / "copy")
    return tmp_path / "copy"


def _painted_classes(split, index):
    """(H, W) class id of every pixel, from the plan."""
    scene = plan_item(SPLITS[split], SEED, index).scene
    ids = [*scene.stuff, *(thing.class_id for thing in scene.things)]
    return np.array(ids)[render(scene)[1]]


def test_no_pixel_of_an_unseen_class_is_labeled_in_training(written):
    """Of the written label maps, and of more scenes, for unseen classes are rare."""
    num_unseen, num_written = 0, count_images(SCALE)["train"]
    names = LABEL_SETS["train"].names
    for index in range(num_written + 40):
        scene = plan_item(SPLITS["train"], SEED, index).scene
        labels = to_labels(scene, render(scene)[1], LABEL_SETS["train"])
        if index < num_written:
            path = written / "shapescenes" / label_name(SPLITS["train"], index)
            assert np.array_equal(load_label_map(path), labels)
        painted = _painted_classes("train", index)
        for class_id in np.unique(painted):
            found = set(np.unique(labels[painted == class_id]).tolist())
            if CLASSES[class_id].seen:
                assert found == {names.index(CLASSES[class_id].name)}
            else:
                assert found == {IGNORE_LABEL}
                num_unseen += 1
    assert num_unseen > 3  # else this test has shown nothing


@pytest.mark.parametrize("split", [name for name in LABEL_SETS if name != "train"])
def test_validation_labels_every_pixel_with_its_name(written, split):
    label_set = LABEL_SETS[split]
    for index in range(count_images(SCALE)[split]):
        labels = load_label_map(written / "shapescenes" / label_name(SPLITS[split], index))
        painted = _painted_classes(split, index)
        for class_id in np.unique(painted):
            allowed = {label for (i, _), label in label_set.labels.items() if i == class_id}
            assert set(np.unique(labels[painted == class_id]).tolist()) <= allowed


def test_no_image_occurs_twice(written):
    hashes = _read(written, "manifest.json")["sha256"]
    images = [digest for file, digest in hashes.items() if file.startswith("images/")]
    assert len(set(images)) == len(images) == sum(count_images(SCALE).values())


def test_manifest_lists_every_file_with_its_hash(written):
    manifest = _read(written, "manifest.json")
    assert manifest["made_with"] == {"version": 5, "seed": SEED, "scale": SCALE}
    assert manifest["libraries"]["numpy"] == np.__version__
    contents = _contents(written)
    others = {"manifest.json", "classes.json", "captions.jsonl", "crops.jsonl"}
    assert manifest["sha256"].keys() == contents.keys() - others
    for file, digest in manifest["sha256"].items():
        assert hashlib.sha256(contents[file]).hexdigest() == digest


def test_images_and_label_maps_are_what_they_should_be(written):
    folder = written / "shapescenes"
    for split, count in count_images(SCALE).items():
        for index in range(count):
            with Image.open(folder / image_name(SPLITS[split], index)) as image:
                assert (image.format, image.mode) == ("JPEG", "RGB")
                size = image.size
            path = folder / label_name(SPLITS[split], index)
            assert path.exists() == (split in LABEL_SETS)
            if split in LABEL_SETS:
                with Image.open(path) as labels:
                    assert (labels.mode, labels.size) == ("L", size)


def test_records_describe_the_images(written):
    captions = {r["file_name"]: r for r in _lines(written, "captions.jsonl")}
    crops = {r["file_name"]: r["class"] for r in _lines(written, "crops.jsonl")}
    counts = count_images(SCALE)
    assert len(captions) == counts["captions_train"] + counts["captions_val"]
    item = plan_item(SPLITS["captions_train"], SEED, 7)
    record = captions["images/captions_train/000007.jpg"]
    assert (record["captions"], record["content"]) == (item.captions, item.content)
    assert [crops[image_name(SPLITS["crops_val"], i)] for i in range(64)] == list(range(64))
    names = [c["name"] for c in _read(written, "classes.json")["classes"]]
    assert names == [c.name for c in CLASSES]


def test_number_of_processes_does_not_matter(written, tmp_path):
    prepare(tmp_path, seed=SEED, scale=SCALE, num_workers=1)
    assert _contents(tmp_path) == _contents(written)


def test_smaller_scale_is_the_beginning_and_seed_changes_all(written, tmp_path):
    prepare(tmp_path / "half", seed=SEED, scale=SCALE / 2)
    half, whole = (_read(r, "manifest.json")["sha256"] for r in (tmp_path / "half", written))
    assert half.items() < whole.items()
    prepare(tmp_path / "other", seed=SEED + 1, scale=SCALE / 2)
    other = _read(tmp_path / "other", "manifest.json")["sha256"]
    assert not set(other.values()) & set(whole.values())


def test_second_run_goes_on_where_the_first_one_ended(written, copy):
    folder = copy / "shapescenes"
    (folder / "images/train/000001.jpg").unlink()
    (folder / "labels/val/000000.png").unlink()
    cut = folder / "images/crops_val/000003.jpg"
    cut.write_bytes(cut.read_bytes()[:-100])
    (folder / "manifest.json").unlink()
    num_images, num_kept, _ = prepare(copy, seed=SEED, scale=SCALE, num_workers=1)
    assert num_images - num_kept == 3
    assert _contents(copy) == _contents(written)


@pytest.mark.parametrize("settings", [{"seed": 5}, {"scale": SCALE * 2}])
def test_folder_of_other_settings_is_refused(copy, settings):
    before = _contents(copy)
    with pytest.raises(UserError, match=r"was made with .*'seed': 0.*remove that folder, or"):
        prepare(copy, **{"seed": SEED, "scale": SCALE, **settings})
    assert _contents(copy) == before


def test_folder_of_unknown_settings_is_refused(copy):
    (copy / "shapescenes/classes.json").write_text("{")
    with pytest.raises(UserError, match="was made with unknown settings"):
        prepare(copy, seed=SEED, scale=SCALE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "--seed is -1; give 0 or more"),
        (["--scale", "0"], "--scale is 0.0; give more than 0"),
        (["--scale", "nan"], "--scale is nan; give more than 0"),
        (["--num-workers", "0"], "--num-workers is 0; give 1 or more"),
    ],
)
def test_values_out_of_range(tmp_path, capsys, arguments, message):
    assert main(["--root", str(tmp_path), *arguments]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_root_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["--root", str(tmp_path / "file"), "--scale", "0.001"]) == 2
    assert f"error: cannot write {tmp_path / 'file'}" in capsys.readouterr().err


def test_script(tmp_path):
    """The command as documented: progress bar, summary, exit status."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "datasets/prepare_shapescenes.py", "--scale", "0.0005"],
        env={
            **os.environ,
            "DETECTRON2_DATASETS": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    total = sum(count_images(0.0005).values())
    assert f"{tmp_path}/shapescenes: {total} images, 0 of them kept, " in done.stdout
    assert f"{total}/{total}" in done.stderr
