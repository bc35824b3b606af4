"""The whole chain on every official layout: prepare, check, evaluate, card, compare.

From archives as their authors publish them to a verdict, by the commands that a user types. That
the figures are those of the right pixels and classes is counted again here, from the published ids,
the names of the classes and the saved predictions alone.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from detectron2.data import MetadataCatalog
from PIL import Image

from san.cli import main
from tests import archives
from tests.training import CONFIG, save_weights


class Layout(NamedTuple):
    """Where a data set comes from, and what it makes of it."""

    writer: str  # function of tests.archives that writes it
    split: str  # name of its validation split there
    ids: dict  # {class name: published id}
    num_classes: int
    others: str | None = None  # class of all other pixels; None: they are ignored


def renamed(ids, old, new):
    return {new if name == old else name: value for name, value in ids.items()}


CONTEXT_59 = renamed(archives.CONTEXT, "table", "diningtable")
ADE20K_FULL = renamed(
    archives.ADE20K_FULL, "adding machine", "adding machine, totalizer, totaliser"
)
LAYOUTS = {
    "coco_2017_test_stuff_sem_seg": Layout("coco", "val2017", archives.COCO, 171),
    "coco_object_sem_seg_val": Layout("coco", "val2017", archives.COCO, 81, "background"),
    "voc_sem_seg_val": Layout("voc", "val", archives.VOC, 20),
    "voc21_sem_seg_val": Layout("voc", "val", archives.VOC, 21),
    "voc20b_sem_seg_val": Layout("voc", "val", archives.VOC, 21),
    "pcontext_sem_seg_val": Layout("context", "val", CONTEXT_59, 59),
    "pcontext60_sem_seg_val": Layout("context", "val", CONTEXT_59, 60, "background"),
    "pcontext_full_sem_seg_val": Layout("context", "val", archives.CONTEXT, 459),
    "ade20k_sem_seg_val": Layout("ade20k", "validation", archives.ADE20K, 150),
    "ade20k_full_sem_seg_val": Layout("ade20k_full", "validation", ADE20K_FULL, 847),
    "cityscapes_fine_sem_seg_val": Layout("cityscapes", "val", archives.CITYSCAPES, 19),
}
OPTIONS = (
    *("MODEL.SAN.CLIP_ACTIVATION", "quick_gelu", "MODEL.DEVICE", "cpu"),
    *("DATALOADER.NUM_WORKERS", "0"),
)
MEASURED = (
    *("TEST.ORACLE_VOCABULARY", "True", "TEST.SEEN_CLASSES", "coco_stuff"),
    *("TEST.SAVE_PREDICTIONS", "True"),
)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Archives of all layouts in the folder of data sets -> {writer: {split: {name: ids}}}."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", "data")
    Path("data").mkdir()
    writers = {layout.writer for layout in LAYOUTS.values()}
    maps = {name: getattr(archives, f"write_{name}")(Path("data")) for name in sorted(writers)}
    archives.write_sbd(Path("data"), maps["voc"])
    return maps


def test_from_archives_to_a_verdict(published, capsys):
    """Two images of each data set, three of VOC."""
    prepare_and_check(capsys)
    save_weights("tiny.pth")
    assert evaluate("a", *OPTIONS, *MEASURED) == 0
    assert evaluate("b", "--protocol", "san", *OPTIONS) == 0
    assert main(["evaluate", "--predictions", "a", "--output", "again"]) == 0
    for name, layout in LAYOUTS.items():
        result = read_card("a")["results"][name]
        assert result["vocabulary"]["classes"] == layout.num_classes
        check_figures(result, name, published[layout.writer][layout.split])
        assert read_card("b")["results"][name]["protocol"]["name"] == "san"
    compare(capsys)


def prepare_and_check(capsys):
    assert main(["datasets", "prepare", "all", "--subset", "--num-workers", "1"]) == 0
    out = capsys.readouterr().out
    assert out.count("images and label maps made, 0 kept, 0 failed") == 18
    assert main(["datasets", "check", *LAYOUTS, "--subset", "--output", "pages"]) == 0
    out = capsys.readouterr().out
    assert out.count(": no problems\n") == len(LAYOUTS) == len(list(Path("pages").iterdir()))
    assert f"san evaluate --weights WEIGHTS --datasets {' '.join(LAYOUTS)}`" in out


def evaluate(output, *options):
    command = ["evaluate", "--weights", "tiny.pth", "--config-file", CONFIG]
    return main([*command, "--datasets", *LAYOUTS, "--output", output, *options])


def read_card(folder):
    """The card, which is there for people, too."""
    text = Path(folder, "inference", "card.md").read_text(encoding="utf-8")
    assert all(f"| {name} | " in text for name in LAYOUTS)
    return json.loads(Path(folder, "inference", "card.json").read_text(encoding="utf-8"))


def check_figures(result, name, published):
    """The share of right pixels, with all words and with those that the image shows."""
    target = {stem: labels_of(ids, name) for stem, ids in published.items()}
    assert result["images"] == len(target)
    for metric, folder in (("pACC", "predictions"), ("pACC_oracle", "predictions/oracle")):
        right = counted = 0
        for stem, labels in target.items():
            (path,) = Path("a", "inference", name, folder).glob(f"{Path(stem).name}*.png")
            right += (np.array(Image.open(path)) == labels)[labels >= 0].sum()
            counted += (labels >= 0).sum()
        assert result["metrics"][metric] == pytest.approx(100 * right / counted)
    assert result["metrics"]["pACC_oracle"] > 5  # of the tiny model with filled weights


def labels_of(ids, name):
    """Published ids -> (H, W) positions in the list of class names, -1 for ignored pixels."""
    layout, names = LAYOUTS[name], [n.strip() for n in MetadataCatalog.get(name).stuff_classes]
    table = {value: names.index(n) for n, value in layout.ids.items() if n in names}
    others = names.index(layout.others) if layout.others else -1
    return np.vectorize(lambda value: table.get(value, others))(ids)


def compare(capsys):
    capsys.readouterr()
    assert main(["compare", "a", "again"]) == 0
    assert f"0 of {8 * len(LAYOUTS)} figures differ by more" in capsys.readouterr().out
    status = main(["compare", "a", "b", "--json", "comparison.json"])
    out = capsys.readouterr().out
    (comparison,) = json.loads(Path("comparison.json").read_text())["comparisons"]
    for name in LAYOUTS:
        assert f"| {name} | mIoU | " in out
        assert f"- {name}: protocol none in A, name san, " in out
    verdicts = [row["differs"] for row in comparison["rows"]]
    assert len(verdicts) == 4 * len(LAYOUTS)
    assert f"{sum(verdicts)} of {len(verdicts)} figures differ by more than noise." in out
    assert status == any(verdicts)
