"""Data sets of the user's own: photos, label maps and the YAML file that describes them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog

from san.data.datasets import load_labels
from san.data.datasets.pairing import UnpairedError
from san.data.tasks import metadata_of
from san.dataset_names import short_name
from san.errors import UserError
from tests.own_data import CLASSES, COLORS, save, write_photos, write_yaml


def load(name):
    """Records and label maps of a data set, in the order of its records."""
    metadata = metadata_of(name)
    records = DatasetCatalog.get(name)
    return records, [load_labels(record, metadata) for record in records]


def assert_maps(name, scenes):
    """The label maps are the scenes, 255 where these are unlabeled."""
    records, maps = load(name)
    assert len(records) == len(scenes)
    for labels, regions in zip(maps, scenes, strict=True):
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, np.where(regions < 0, 255, regions))


def test_positions_are_the_pixel_values(tmp_path):
    scenes = write_photos(tmp_path)
    name = write_yaml(tmp_path)
    assert_maps(name, scenes)
    metadata = metadata_of(name)
    assert metadata.stuff_classes == list(CLASSES)
    assert (metadata.ignore_label, metadata.evaluator_type) == (255, "sem_seg")
    assert metadata.get("seen") is None
    assert pickle.loads(pickle.dumps(metadata.label_reader)) == metadata.label_reader


def test_pixel_values_and_several_ignored(tmp_path):
    """Values 1, 2, 7 and 40 with 0 for unlabeled, a common form, become positions."""
    scenes = write_photos(tmp_path, ids=(7, 1, 40, 2), ignored=0)
    classes = dict(zip((7, 1, 40, 2), CLASSES, strict=True))
    assert_maps(write_yaml(tmp_path, classes=classes, ignore_label=[0, 99]), scenes)


def test_a_class_with_the_value_255(tmp_path):
    """Then nothing is ignored unless the file says so, and the ids stay clear of the mark."""
    scenes = write_photos(tmp_path, ids=(0, 1, 2, 255), ignored=9)
    classes = dict(zip((0, 1, 2, 255), CLASSES, strict=True))
    assert_maps(write_yaml(tmp_path, classes=classes, ignore_label=9), scenes)


def test_colored_label_maps(tmp_path):
    scenes = write_photos(tmp_path, ids=COLORS, ignored=(1, 2, 3))
    palette = {name: list(color) for name, color in zip(CLASSES, COLORS, strict=True)}
    palette["road"] = "#804080"
    name = write_yaml(tmp_path, palette=palette, ignore_color=[1, 2, 3])
    assert_maps(name, scenes)
    assert metadata_of(name).stuff_colors == [list(color) for color in COLORS]
    several = write_yaml(tmp_path, "b.yaml", palette=palette, ignore_color=["#ffffff", "#010203"])
    assert_maps(several, scenes)


def test_seen_classes(tmp_path):
    write_photos(tmp_path)
    assert metadata_of(write_yaml(tmp_path, seen=["sky", "road"])).seen == [
        True,
        False,
        True,
        False,
    ]


def test_splits(tmp_path):
    first = write_photos(tmp_path, 3, prefix="a")
    second = write_photos(tmp_path, 2, prefix="b")
    write_photos(tmp_path / "more", 2, prefix="c")
    (tmp_path / "val.txt").write_text("b000\n\nb001\n")
    (tmp_path / "train.txt").write_text("a000\na001\na002\n")
    splits = {
        "train": {"names": "train.txt"},
        "val": {"names": "val.txt"},
        "more": {"images": "more/photos", "labels": "more/masks"},
    }
    name = write_yaml(tmp_path, splits=splits)
    assert_maps(f"{name}:train", first)
    assert_maps(f"{name}:val", second)
    assert len(load(f"{name}:more")[0]) == 2
    assert (short_name(f"{name}:val"), short_name(name)) == ("own_val", "own")
    assert short_name("ade20k_sem_seg_val") == "ade20k_sem_seg_val"


def test_one_folder_and_sub_folders(tmp_path):
    """a/1.jpg beside a/1_mask.png, and another folder b."""
    for folder in ("a", "b"):
        save(np.zeros((4, 5, 3), np.uint8), tmp_path / "all" / folder / "1.jpg")
        save(np.ones((4, 5), np.uint8), tmp_path / "all" / folder / "1_mask.png")
    name = write_yaml(tmp_path, images="all", labels="all", label_suffix="_mask.png")
    records, maps = load(name)
    assert [Path(r["file_name"]).parent.name for r in records] == ["a", "b"]
    assert all((labels == 1).all() for labels in maps)


def test_unpaired_files(tmp_path):
    write_photos(tmp_path, 3)
    (tmp_path / "photos" / "001.jpg").unlink()
    (tmp_path / "masks" / "002.png").unlink()
    name = write_yaml(tmp_path)
    metadata_of(name)
    with pytest.raises(UnpairedError) as caught:
        DatasetCatalog.get(name)
    message = str(caught.value)
    assert "1 image without a label map of the same name" in message and "002.jpg" in message
    assert "1 label map without an image of the same name" in message and "001.png" in message
    assert "add the missing files" in message
    assert [Path(r["file_name"]).name for r in caught.value.records] == ["000.jpg"]
    assert pickle.loads(pickle.dumps(caught.value)).records == caught.value.records


@pytest.mark.parametrize("change, message", [
    (lambda root: (root / "photos").rename(root / "fotos"), "photos does not exist"),
    (lambda root: [p.unlink() for p in (root / "masks").iterdir()], "masks holds no image"),
    (lambda root: save(np.zeros((2, 2, 3), np.uint8), root / "photos" / "000.png"),
     "000.jpg and .*000.png share one name"),
])  # fmt: skip
def test_wrong_folders(tmp_path, change, message):
    write_photos(tmp_path, 2)
    change(tmp_path)
    with pytest.raises(UserError, match=message):
        load(write_yaml(tmp_path))


def test_names_that_are_not_there(tmp_path):
    write_photos(tmp_path, 2)
    with pytest.raises(UserError, match=r"list.txt cannot be read \(No such file"):
        load(write_yaml(tmp_path, names="list.txt"))
    (tmp_path / "list.txt").write_text("000.jpg\n")
    with pytest.raises(UserError, match="none of the 1 names in .*list.txt .*without suffix"):
        load(write_yaml(tmp_path, names="list.txt"))


def test_unknown_value(tmp_path):
    regions, _ = write_photos(tmp_path, 2, ids=(0, 1, 2, 3), ignored=200)
    share = f"{(regions < 0).mean():.2%}"
    with pytest.raises(UserError) as caught:
        load(write_yaml(tmp_path))
    assert f"masks/000.png: unknown values in the label map: 200 ({share}" in str(caught.value)
    assert "known are 0, 1, 2, 3, 255" in str(caught.value)
    assert "own.yaml" in str(caught.value) and "`ignore_label`" in str(caught.value)


def test_unknown_color(tmp_path):
    regions, _ = write_photos(tmp_path, 2, ids=COLORS, ignored=(255, 0, 16))
    palette = {name: list(color) for name, color in zip(CLASSES, COLORS, strict=True)}
    share = f"{(regions < 0).mean():.2%}"
    with pytest.raises(UserError) as caught:
        load(write_yaml(tmp_path, palette=palette))
    assert f"masks/000.png: unknown colors in the label map: #ff0010 ({share}" in str(caught.value)
    assert "`ignore_color` in" in str(caught.value) and "own.yaml" in str(caught.value)


def test_colored_map_without_palette(tmp_path):
    write_photos(tmp_path, 1, ids=COLORS, ignored=(0, 0, 0))
    with pytest.raises(UserError, match="000.png: a label map has one channel"):
        load(write_yaml(tmp_path))


@pytest.mark.parametrize("keys, message", [
    ({"labelz": "masks"}, "unknown key 'labelz'; did you mean 'labels'"),
    ({"images": None}, "no `images`"),
    ({"images": 7}, "`images` is 7: write text"),
    ({"labels": None}, "neither `labels` nor `annotations`"),
    ({"classes": None}, "no `classes`"),
    ({"classes": "road"}, "`classes` is neither a list"),
    ({"classes": {"road": 1}}, "`classes` is neither a list"),
    ({"classes": ["road", True]}, "`classes`: class 2 .* is True, which is not text"),
    ({"classes": ["road", "Road"]}, "`classes`: 'Road' stands twice"),
    ({"classes": ["road|street", "sky"]}, r"'road\|street': one name per class"),
    ({"ignore_label": 1}, "`ignore_label` 1 is the pixel value of class 'tree'"),
    ({"ignore_label": "255"}, "`ignore_label` is '255': write a whole number"),
    ({"ignore_color": "#000000"}, "`ignore_color` does not fit here.*give `palette`"),
    ({"background": "sky"}, "`background` does not fit here.*give `annotations`"),
    ({"palette": ["#000000"]}, "`palette` is not a mapping"),
    ({"palette": {"raod": "#000000"}}, "`palette`: there is no class 'raod'; did you mean 'road'"),
    ({"palette": {"road": "#000000"}}, "`palette` has no color for class 'tree'"),
    ({"palette": {n: "red" for n in CLASSES}}, "`palette`, class 'road': 'red' is no color"),
    ({"palette": {n: "#000001" for n in CLASSES}}, "'tree' has the color #000001 of class 'road'"),
    ({"palette": {}, "ignore_label": 0}, "`ignore_label` does not fit.*write `ignore_color`"),
    ({"palette": {}, "classes": {3: "road"}}, "`classes` has pixel values"),
    ({"seen": ["cloud"]}, "`seen`: there is no class 'cloud'; the classes are road, tree, sky"),
    ({"seen": "road"}, "`seen` is 'road': write a list"),
    ({"splits": ["train"]}, "`splits` is not a mapping"),
    ({"splits": {"val": {"image": "a"}}}, "split 'val' has the unknown key 'image'"),
    ({"splits": {"val": {}}}, "it has the splits val, and none is chosen: add ':'"),
])  # fmt: skip
def test_mistakes_in_the_file(tmp_path, keys, message):
    write_photos(tmp_path, 1)
    name = write_yaml(tmp_path, **keys)
    with pytest.raises(UserError, match=rf"own\.yaml: .*{message}"):
        metadata_of(name)
    assert name not in DatasetCatalog


def test_split_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="it has no splits, but 'val' is asked for"):
        metadata_of(write_yaml(tmp_path) + ":val")
    name = write_yaml(tmp_path, splits={"train": {}})
    with pytest.raises(UserError, match="splits train, and 'val' is none of them"):
        metadata_of(f"{name}:val")


@pytest.mark.parametrize("text, message", [
    ("images: [", "is not YAML"),
    ("", "the file is not a mapping of keys"),
    ("classes: !!python/name:os.system", "is not YAML"),
])  # fmt: skip
def test_not_a_data_set_file(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        metadata_of(str(path))


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"none.yaml cannot be read \(No such file.*check the path"):
        metadata_of(str(tmp_path / "none.yaml"))
