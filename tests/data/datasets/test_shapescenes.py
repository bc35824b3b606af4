"""Registered names, metadata and records of ShapeScenes."""

from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from san.data.datasets import SHAPESCENES, load_label_map
from san.data.shapescenes.prepare import prepare
from san.errors import UserError

SCENES = {  # name: (classes, of them unseen, images at scale 0.004)
    "shapescenes_train": (57, 0, 40),
    "shapescenes_val": (76, 19, 2),
    "shapescenes_synonyms_val": (76, 19, 1),
    "shapescenes_fine_val": (204, 51, 2),
    "shapescenes_coarse_val": (20, None, 1),
    "shapescenes_colors_val": (20, None, 1),
    "shapescenes_shift_val": (76, 19, 2),
    "shapescenes_many_val": (563, 506, 1),
}
OTHERS = ("shapescenes_captions_train", "shapescenes_captions_val", "shapescenes_crops_val")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("datasets")
    prepare(root, scale=0.004)
    return root


@pytest.fixture
def prepared(root, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    return root


def test_every_split_is_registered():
    assert SHAPESCENES.keys() == SCENES.keys()


@pytest.mark.parametrize("name", SCENES)
def test_scenes(prepared, name):
    num_classes, num_unseen, num_images = SCENES[name]
    metadata = MetadataCatalog.get(name)
    assert len(metadata.stuff_classes) == num_classes
    assert (metadata.ignore_label, metadata.evaluator_type) == (255, "sem_seg")
    if num_unseen is None:
        assert "seen" not in metadata.as_dict()
    else:
        assert len(metadata.seen) == num_classes and metadata.seen.count(False) == num_unseen
    records = DatasetCatalog.get(name)
    assert len(records) == num_images
    for record in records:
        assert Path(record["file_name"]).is_file()
        labels = load_label_map(record["sem_seg_file_name"])
        assert set(np.unique(labels).tolist()) <= {*range(num_classes), 255}


def test_training_vocabulary_is_that_of_the_seen_classes():
    val = MetadataCatalog.get("shapescenes_val")
    seen = [n for n, s in zip(val.stuff_classes, val.seen, strict=True) if s]
    assert MetadataCatalog.get("shapescenes_train").stuff_classes == seen


@pytest.mark.parametrize("split", ["captions_train", "captions_val"])
def test_captions(prepared, split):
    records = DatasetCatalog.get(f"shapescenes_{split}")
    assert len(records) == {"captions_train": 256, "captions_val": 4}[split]
    assert [record["image_id"] for record in records] == list(range(len(records)))
    for record in records:
        assert Path(record["file_name"]).parent == prepared / "shapescenes/images" / split
        assert Path(record["file_name"]).is_file()
        assert record["content"] and all(record["captions"])


def test_crops(prepared):
    metadata = MetadataCatalog.get("shapescenes_crops_val")
    assert len(metadata.thing_classes) == len(metadata.seen) == 64
    assert metadata.seen.count(False) == 16
    records = DatasetCatalog.get("shapescenes_crops_val")
    assert sorted(record["class"] for record in records) == list(range(64))
    assert all(Path(record["file_name"]).is_file() for record in records)


@pytest.mark.parametrize("name", [*SCENES, *OTHERS])
def test_missing_data_names_folder_variable_and_remedy(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(UserError) as error:
        DatasetCatalog.get(name)
    message = str(error.value)
    assert f"'{name}'" in message and "does not exist" in message
    assert f"DETECTRON2_DATASETS={tmp_path}" in message
    assert "python datasets/prepare_shapescenes.py" in message


@pytest.mark.parametrize("name", OTHERS)
def test_damaged_records(tmp_path, monkeypatch, name):
    folder = tmp_path / "shapescenes"
    folder.mkdir()
    file = "crops.jsonl" if "crops" in name else "captions.jsonl"
    (folder / file).write_text('{"file_name"')
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(
        UserError, match=rf"'{name}': .*{file} cannot be read .*prepare_shapescenes"
    ):
        DatasetCatalog.get(name)


@pytest.mark.parametrize("name", OTHERS)
def test_missing_image_of_a_record(tmp_path, monkeypatch, name):
    folder = tmp_path / "shapescenes"
    folder.mkdir()
    file = "crops.jsonl" if "crops" in name else "captions.jsonl"
    split = name.removeprefix("shapescenes_")
    (folder / file).write_text(f'{{"file_name": "images/{split}/000000.jpg"}}\n')
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(UserError, match=rf"the image .*{split}/000000\.jpg is missing; make the"):
        DatasetCatalog.get(name)
