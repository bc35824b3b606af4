"""Registered names, metadata and file lists, on miniatures in the official layouts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.data.datasets import DATASETS, datasets_root, load_label_map, read_categories
from san.errors import UserError
from tests import miniatures

PUBLISHED = {  # name: (classes, first class, last class, ignore label)
    "coco_2017_train_stuff_sem_seg": (171, "person", "wood", 255),
    "coco_2017_test_stuff_sem_seg": (171, "person", "wood", 255),
    "voc_sem_seg_train": (20, "aeroplane", "tv", 255),
    "voc_sem_seg_val": (20, "aeroplane", "tv", 255),
    "voc21_sem_seg_val": (21, "background", "tv", 255),
    "voc20b_sem_seg_val": (21, "aeroplane", "background", 255),
    "coco_object_sem_seg_val": (81, "background", "toothbrush", 255),
    "cityscapes_fine_sem_seg_train": (19, "road", "bicycle", 255),
    "cityscapes_fine_sem_seg_val": (19, "road", "bicycle", 255),
    "pcontext60_sem_seg_val": (60, "background", "wood", 255),
    "pcontext_sem_seg_train": (59, "aeroplane", "wood", 255),
    "pcontext_sem_seg_val": (59, "aeroplane", "wood", 255),
    "pcontext_full_sem_seg_train": (459, "accordion", "wool", 65535),
    "pcontext_full_sem_seg_val": (459, "accordion", "wool", 65535),
    "ade20k_sem_seg_train": (150, "wall", "flag", 255),
    "ade20k_sem_seg_val": (150, "wall", "flag", 255),
    "ade20k_full_sem_seg_train": (847, "wall", "adding machine, totalizer, totaliser", 65535),
    "ade20k_full_sem_seg_val": (847, "wall", "adding machine, totalizer, totaliser", 65535),
}
VALIDATION = {  # name: ids in the miniature
    "coco_2017_test_stuff_sem_seg": [train_id for train_id, _ in miniatures.COCO_STUFF.values()],
    "voc_sem_seg_val": miniatures.VOC.values(),
    "pcontext_sem_seg_val": miniatures.PASCAL_CONTEXT.values(),
    "pcontext_full_sem_seg_val": miniatures.PASCAL_CONTEXT_FULL.values(),
    "ade20k_sem_seg_val": miniatures.ADE20K.values(),
    "ade20k_full_sem_seg_val": miniatures.ADE20K_FULL.values(),
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    miniatures.write_all(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", PUBLISHED)
def test_metadata(name):
    metadata = MetadataCatalog.get(name)
    classes = metadata.stuff_classes
    assert (len(classes), classes[0], classes[-1], metadata.ignore_label) == PUBLISHED[name]
    assert len(set(classes)) == len(classes)
    assert metadata.evaluator_type == "sem_seg"
    assert metadata.image_root.endswith(DATASETS[name].image_dir)
    assert metadata.sem_seg_root.endswith(DATASETS[name].label_dir)
    assert DATASETS[name].ignore_label == metadata.ignore_label


def test_every_published_name_is_registered():
    assert DATASETS.keys() == PUBLISHED.keys()


def test_class_names_are_those_of_the_miniatures():
    """Name -> id, checked in the middle of the lists."""
    for name, classes in (
        ("coco_stuff_171", {key: train_id for key, (train_id, _) in miniatures.COCO_STUFF.items()}),
        ("voc_20", miniatures.VOC),
        ("pascal_context_59", miniatures.PASCAL_CONTEXT),
        ("pascal_context_459", miniatures.PASCAL_CONTEXT_FULL),
        ("ade20k_847", miniatures.ADE20K_FULL),
    ):
        names, _ = read_categories(name)
        assert {key: names.index(key) for key in classes} == classes


def test_raw_ids():
    coco, coco_ids = read_categories("coco_stuff_171")
    assert dict(zip(coco, coco_ids, strict=True))["teddy bear"] == 88
    assert coco_ids == sorted(coco_ids) and coco_ids[-1] == 182
    context, context_ids = read_categories("pascal_context_59")
    full, full_ids = read_categories("pascal_context_459")
    assert full_ids is None
    assert all(
        full[raw - 1] == name  # raw ids count from 1
        for name, raw in zip(context, context_ids, strict=True)
        if name in full
    )
    ade, ade_ids = read_categories("ade20k_847")
    assert ade_ids[ade.index("sky")] == 2420 and len(set(ade_ids)) == 847
    to_contiguous = MetadataCatalog.get(
        "coco_2017_test_stuff_sem_seg"
    ).stuff_dataset_id_to_contiguous_id
    assert to_contiguous[182] == 170


@pytest.mark.parametrize("name", VALIDATION)
def test_records_pair_images_and_label_maps(root, name):
    records = DatasetCatalog.get(name)
    assert len(records) == 3
    seen = set()
    for record in records:
        image, labels = Path(record["file_name"]), Path(record["sem_seg_file_name"])
        assert image.stem == labels.stem and root in image.parents
        label_map = load_label_map(labels)
        assert label_map.shape == Image.open(image).size[::-1]
        seen |= set(np.unique(label_map).tolist())
    ignore_label = MetadataCatalog.get(name).ignore_label
    assert ignore_label in seen and len(seen) > 3
    assert seen <= {*VALIDATION[name], ignore_label}


def test_sets_with_background_extend_those_without():
    voc, _ = read_categories("voc_20")
    assert read_categories("voc_21")[0] == ["background", *voc]
    assert read_categories("voc_20b")[0] == [*voc, "background"]
    context, raw_ids = read_categories("pascal_context_59")
    with_background = (["background", *context], [0, *raw_ids])
    assert read_categories("pascal_context_60") == with_background
    stuff, coco_ids = read_categories("coco_stuff_171")
    with_background = (["background", *stuff[:80]], [0, *coco_ids[:80]])
    assert read_categories("coco_object_81") == with_background


def test_cityscapes_names_and_ids():
    """The 19 of the labels that count, by their ids among all 34."""
    names, ids = read_categories("cityscapes_19")
    assert names == MetadataCatalog.get("cityscapes_fine_panoptic_val").stuff_classes
    assert ids[:6] == [7, 8, 11, 12, 13, 17] and ids[-4:] == [28, 31, 32, 33]


def test_miniatures_are_deterministic(root, tmp_path):
    miniatures.write_all(tmp_path / "again")
    files = [path for path in root.rglob("*") if path.is_file() and "again" not in path.parts]
    assert len(files) == 49
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(root)).read_bytes()


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_data_names_folder_variable_and_remedy(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    with pytest.raises(UserError) as error:
        DatasetCatalog.get(name)
    message = str(error.value)
    assert f"'{name}'" in message
    assert f"{tmp_path / 'nowhere' / DATASETS[name].image_dir} does not exist" in message
    assert f"DETECTRON2_DATASETS={tmp_path / 'nowhere'}" in message
    assert "datasets/README.md" in message
    assert "`san datasets prepare " in message


def test_unprepared_label_maps(root):
    for path in (root / "coco/stuffthingmaps_detectron2/val2017").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"stuffthingmaps_detectron2/val2017 holds no \.png files"):
        DatasetCatalog.get("coco_2017_test_stuff_sem_seg")


def test_image_without_label_map(root):
    labels = root / "pcontext/val/label/2008_val_00000002.png"
    labels.unlink()
    with pytest.raises(
        UserError, match=r"1 images have no label map.*image/2008_val_00000002\.jpg"
    ):
        DatasetCatalog.get("pcontext_sem_seg_val")


def test_label_map_without_image(root):
    for index in (1, 2, 3):
        (root / f"VOC2012/JPEGImages/2007_val_{index:08d}.jpg").unlink()
    (root / "VOC2012/JPEGImages/2007_val_00000004.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"3 label maps have no image.*val/2007_val_00000001\.png"):
        DatasetCatalog.get("voc_sem_seg_val")


def test_hidden_files_are_not_looked_at(root):
    (root / "pcontext/val/image/._2008_val_00000001.jpg").write_bytes(b"")
    (root / "pcontext/val/label/.unfinished.png").write_bytes(b"")
    assert len(DatasetCatalog.get("pcontext_sem_seg_val")) == 3


def test_default_root(monkeypatch):
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    assert datasets_root() == Path("datasets")
    monkeypatch.setenv("DETECTRON2_DATASETS", "~/data")
    assert datasets_root() == Path.home() / "data"


def test_import_needs_no_data(tmp_path):
    """Registering works, quietly, where the root does not exist."""
    code = "import san.data.datasets as d; assert len(d.DATASETS) == 18"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={
            "DETECTRON2_DATASETS": str(tmp_path / "nowhere"),
            "PYTHONPATH": str(Path(__file__).parents[3]),
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
