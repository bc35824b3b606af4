"""What the check of a data set finds in its files."""

import base64
import io
import re
from html import unescape

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.data.check import check_dataset
from san.data.check.sheet import write_sheet
from san.data.check.text import describe, never_present, next_steps
from san.data.datasets import DATASETS
from san.errors import UserError
from tests.miniatures import ADE20K, write_all
from tests.own_data import CLASSES, write_photos, write_yaml


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Miniatures of all published data sets, set as DETECTRON2_DATASETS."""
    write_all(tmp_path, num_images=3)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


def labels_of(folder):
    return [np.array(Image.open(path)).astype(int) for path in sorted(folder.iterdir())]


def test_counts_are_those_of_the_files(tmp_path):
    """Pixels and images per class, by hand; a class that is never there; an image of none."""
    scenes = write_photos(tmp_path, 3)
    Image.fromarray(np.full(scenes[2].shape, 255, np.uint8)).save(tmp_path / "masks" / "002.png")
    report = check_dataset(write_yaml(tmp_path, classes=[*CLASSES, "sea"]), num_workers=2)
    expected = [sum((scene == c).sum() for scene in scenes[:2]) for c in range(4)]
    assert report.tally.pixels.tolist() == [*expected, 0]
    images = [sum((scene == c).any() for scene in scenes[:2]) for c in range(4)]
    assert report.tally.images.tolist() == [*images, 0]
    assert report.problems == [] and len(report.usable) == 3
    assert never_present(report)[-1] == "sea"
    num_pixels = sum(scene.size for scene in scenes)
    assert report.tally.ignored_share == pytest.approx(1 - sum(expected) / num_pixels)
    assert report.tally.shares.sum() == pytest.approx(1)
    assert report.tally.num_empty == 1
    text = describe(report)
    assert "own.yaml: no problems" in text and "1 image without any other" in text
    assert "classes  4 of 5 present" in text and "absent   sea" in text
    assert "labels   0 to 3 (classes are 0 to 4; 255 does not count)" in text
    assert next_steps([report])[0].endswith(
        f": fine; to evaluate: `san evaluate --weights WEIGHTS --datasets {report.name}`"
    )


def test_sixteen_bits_and_the_published_number(root):
    """The 847 classes of a TIFF whose ignored value is 65535; three images are not 2000."""
    report = check_dataset("ade20k_full_sem_seg_val")
    maps = labels_of(root / "ADE20K_2021_17_01" / "annotations_detectron2" / "validation")
    assert report.tally.pixels[846] == sum((labels == 846).sum() for labels in maps) > 0
    assert report.tally.num_ignored == sum((labels == 65535).sum() for labels in maps) == 3 * 64
    (problem,) = report.problems
    assert problem.startswith("3 images with a label map, but the complete data set has 2000;")
    assert "san datasets prepare ade20k_847" in next_steps([report])[0]


@pytest.mark.parametrize("name, expected", [
    ("voc_sem_seg_val", "1449"), ("pcontext_sem_seg_val", "5105 or 5104"),
    ("ade20k_sem_seg_val", "2000"), ("coco_2017_test_stuff_sem_seg", "5000"),
    ("coco_2017_train_stuff_sem_seg", "118287"),
])  # fmt: skip
def test_published_numbers(root, name, expected):
    assert f"3 images with a label map, but the complete data set has {expected};" in describe(
        check_dataset(name, limit=1)
    )


def test_a_subset_on_purpose(root):
    report = check_dataset("ade20k_sem_seg_val", subset=True)
    assert report.problems == [] and "no problems\n  images   3 (complete: 2000)" in describe(
        report
    )


def test_one_line_for_all_that_the_same_helps(root):
    names = ("voc_sem_seg_val", "ade20k_sem_seg_val", "ade20k_sem_seg_train", "voc_sem_seg_train")
    fine, ade20k, voc = next_steps([check_dataset(name, subset=True) for name in names])
    assert fine.startswith("voc_sem_seg_val, ade20k_sem_seg_val: fine; ")
    assert fine.endswith("--datasets voc_sem_seg_val ade20k_sem_seg_val`")
    assert ade20k.startswith("ade20k_sem_seg_train: ") and voc.startswith("voc_sem_seg_train: ")


def test_every_builtin_set_has_a_published_number():
    assert [name for name, dataset in DATASETS.items() if not dataset.num_images] == []


def test_broken_files(root):
    """Each is named with what is wrong, and the others are checked all the same."""
    base = root / "ADEChallengeData2016"
    images = sorted((base / "images" / "validation").iterdir())
    maps = sorted((base / "annotations_detectron2" / "validation").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:400])
    labels = np.array(Image.open(maps[1]))
    labels[:2] = 200
    labels[2, :5] = 150
    Image.fromarray(labels).save(maps[1])
    Image.fromarray(labels[:, :-3]).save(maps[2])
    report = check_dataset("ade20k_sem_seg_val")
    _, first, second, third = report.problems
    assert images[0].name in first and "cannot be read" in first
    assert f"{maps[1].name}: unknown class id 200 ({2 / len(labels):.2%} of the pixels), 150" in (
        second
    )
    assert maps[2].name in third and f"{labels.shape[0]} x {labels.shape[1] - 3} pixels" in third
    assert report.usable == [] and report.tally.num_checked == 3
    assert describe(report).count("\n  problem  ") == 4


def test_problems_beyond_the_first_are_counted(root):
    for path in (root / "pcontext" / "val" / "label").iterdir():
        path.unlink()
    write_all(root / "more", num_images=9)
    (root / "pcontext" / "val").rename(root / "old")
    (root / "more" / "pcontext" / "val").rename(root / "pcontext" / "val")
    for path in (root / "pcontext" / "val" / "label").iterdir():
        path.write_bytes(b"no PNG")
    assert "and 5 more problems; --output lists all" in describe(
        check_dataset("pcontext_sem_seg_val")
    )


def test_unpaired_files_are_named_and_the_rest_is_checked(root):
    base = root / "ADEChallengeData2016"
    sorted((base / "images" / "validation").iterdir())[1].unlink()
    report = check_dataset("ade20k_sem_seg_val")
    assert "1 label maps have no image of the same name" in report.problems[0]
    assert "ADE_validation_00000002.png" in report.problems[0]
    assert report.tally.num_checked == 2


def test_missing(root):
    report = check_dataset("voc_sem_seg_train")
    assert report.tally is None
    assert re.match(
        "voc_sem_seg_train: missing\n  data set .* the folder .*annotations_detectron2/train does "
        "not exist",
        describe(report),
    )
    assert "run `san datasets prepare voc_20`" in next_steps([report])[0]


def test_a_sample_is_spread_over_the_files(tmp_path):
    scenes = write_photos(tmp_path, 5)
    report = check_dataset(write_yaml(tmp_path), limit=2)
    assert report.tally.num_checked == 2
    assert report.tally.num_pixels == scenes[0].size + scenes[2].size
    assert "images   5, 2 of them opened" in describe(report)


def test_a_set_registered_in_python(root):
    """Its classes and its records are its own; it has no published number."""
    DatasetCatalog.register("my_scenes", DATASETS["ade20k_sem_seg_val"].load)
    metadata = MetadataCatalog.get("my_scenes")
    metadata.set(stuff_classes=[f"class {i}" for i in range(150)], ignore_label=255)
    report = check_dataset("my_scenes")
    DatasetCatalog.remove("my_scenes")
    assert report.problems == []
    present = {ADE20K[name] for name in ADE20K}
    assert set(np.flatnonzero(report.tally.pixels)) == present
    assert next_steps([report])[0].startswith("my_scenes: fine")


def test_other_data_sets(root):
    with pytest.raises(UserError, match="did you mean 'voc_sem_seg_val'"):
        check_dataset("voc_sem_seg_vla")
    with pytest.raises(UserError, match="'shapescenes_crops_val' is a data set of zero-shot"):
        check_dataset("shapescenes_crops_val")


def test_page(root, tmp_path):
    """One file without links to others: overlays that decode, every class, every problem."""
    first = sorted((root / "VOC2012" / "annotations_detectron2" / "val").iterdir())[0]
    first.write_bytes(b"<b>")
    report = check_dataset("voc_sem_seg_val")
    path = write_sheet(report, tmp_path / "pages")
    html = path.read_text(encoding="utf-8")
    assert path.name == "voc_sem_seg_val.html"
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(pictures) == html.count("src=") == 2 and "href" not in html
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).width >= 640
    text = unescape(html)
    assert all(problem in text for problem in report.problems) and len(report.problems) == 2
    for name, pixels in zip(report.class_names, report.tally.pixels, strict=True):
        assert re.search(rf"</span>{name}</td>.*?\n.*\n.*>{pixels}</td>", text), name
    assert html.count('class="absent"') == len(never_present(report)) >= 16
    assert "1449" in html


def test_page_has_the_colors_of_the_data_set(tmp_path):
    write_photos(tmp_path, 12, ids=((9, 9, 9), (1, 1, 1), (2, 2, 2), (3, 3, 3)), ignored=(0, 0, 0))
    palette = dict(zip(CLASSES, ("#090909", "#010101", "#020202", "#030303"), strict=True))
    name = write_yaml(tmp_path, palette=palette, ignore_color="#000000")
    html = write_sheet(check_dataset(name), tmp_path / "pages").read_text()
    assert html.count("<figure>") == 10
    assert re.search(r"background:#090909.*</span>road", html)
