"""Predictions that are saved, moved and evaluated again give the same report."""

import json

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.errors import UserError
from san.evaluation import SemSegEvaluator, SemSegOptions, evaluate_saved

NAME = "predictions_test"
SIZE = (7, 9)
FILES = ("a/1.jpg", "a/2.jpg", "b/1.jpg")
SAVE = SemSegOptions(
    bootstrap_replicates=50, boundary_iou=True, oracle_vocabulary=True, save_predictions=True
)


def register(folder, num_classes=300, files=FILES):
    """16-bit label maps of many classes below ``folder`` -> records."""
    records = []
    for index, name in enumerate(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = np.random.default_rng(index).choice([0, 280, 299, 65535], SIZE)
        Image.fromarray(labels.astype(np.uint16)).save(path.with_suffix(".tif"))
        tif = str(path.with_suffix(".tif"))
        records.append({"file_name": str(path), "sem_seg_file_name": tif})
    for catalog in (DatasetCatalog, MetadataCatalog):
        if NAME in catalog.list():
            catalog.remove(NAME)
    DatasetCatalog.register(NAME, lambda: records)
    names = [f"class {i}" for i in range(num_classes)]
    MetadataCatalog.get(NAME).set(stuff_classes=names, ignore_label=65535)
    return records


@pytest.fixture
def saved(tmp_path):
    """Folder "out" with an evaluation and its predictions; the data lie in "data"."""
    records = register(tmp_path / "data")
    evaluator = SemSegEvaluator(NAME, tmp_path / "out", SAVE)
    for index, record in enumerate(records):
        rng = np.random.default_rng(10 + index)
        maps = rng.choice([-1, 0, 280, 299], (2, *SIZE)).astype(np.int32)
        outputs = dict(zip(("label_map", "oracle_label_map"), torch.from_numpy(maps), strict=True))
        evaluator.process([record], [outputs])
    evaluator.evaluate()
    return tmp_path / "out"


def test_same_report_without_the_model(saved, tmp_path):
    (saved / "predictions").rename(tmp_path / "moved")
    (tmp_path / "data").rename(tmp_path / "data elsewhere")
    register(tmp_path / "data elsewhere")
    name, results = evaluate_saved(tmp_path / "moved", tmp_path / "again", SAVE)
    assert name == NAME and results["sem_seg"]["mIoU"] > 0
    for file in ("sem_seg_evaluation.json", "sem_seg_evaluation.md"):
        assert (tmp_path / "again" / file).read_text() == (saved / file).read_text()
    assert not (tmp_path / "again" / "predictions").exists()
    report = json.loads((saved / "sem_seg_evaluation.json").read_text())
    assert report["metrics"]["mIoU_ci95_low"] < report["metrics"]["mIoU_ci95_high"]
    assert len(report["bootstrap"]["mIoU"]) == 50
    assert {"IoU", "BoundaryIoU", "IoU_oracle"} <= report["classes"][0].keys()


def test_files(saved):
    folder = saved / "predictions"
    index = json.loads((folder / "index.json").read_text())
    assert index["dataset"] == NAME and index["oracle"] and len(index["vocabulary"]) == 300
    assert sorted(index["images"]) == sorted(FILES)
    labels = np.asarray(Image.open(folder / "b" / "1.png"))
    assert labels.dtype == np.uint16 and set(np.unique(labels)) == {0, 280, 299, 65535}
    assert (folder / "oracle" / "b" / "1.png").is_file()


def test_images_of_one_stem(tmp_path):
    records = register(tmp_path / "data", files=("x.jpg", "x.png"))
    options = SemSegOptions(save_predictions=True)
    evaluator = SemSegEvaluator(NAME, tmp_path, options)
    prediction = {"label_map": torch.zeros(SIZE, dtype=torch.int32)}
    evaluator.process(records, [prediction] * 2)
    evaluator.evaluate()
    names = sorted(path.name for path in (tmp_path / "predictions").iterdir())
    assert names == ["index.json", "x.jpg.png", "x.png.png"]


def test_broken_predictions(saved):
    folder = saved / "predictions"
    Image.fromarray(np.zeros(SIZE, np.uint16)).save(folder / "a" / "2.png")
    with pytest.raises(UserError, match=r"2\.png: this prediction was changed"):
        evaluate_saved(folder)
    (folder / "a" / "2.png").unlink()
    with pytest.raises(UserError, match=r"2\.png: cannot read this prediction \(No such file"):
        evaluate_saved(folder)
    (folder / "index.json").write_text("{}")
    with pytest.raises(UserError, match=r"index\.json: not an index of predictions"):
        evaluate_saved(folder)
    (folder / "index.json").unlink()
    with pytest.raises(UserError, match=r"index\.json does not exist: .* did not finish"):
        evaluate_saved(folder)


def test_another_data_set(saved, tmp_path):
    register(tmp_path / "data", num_classes=301)
    with pytest.raises(UserError, match="made with 300 classes of .* its 301 classes of today"):
        evaluate_saved(saved / "predictions")
    register(tmp_path / "data", files=(*FILES, "b/9.jpg"))
    with pytest.raises(UserError, match=r"1 images of .* have no prediction \(b/9.jpg\)"):
        evaluate_saved(saved / "predictions")
    register(tmp_path / "data", files=FILES[::2])
    with pytest.raises(UserError, match=r"1 images of .* are unknown \(a/2.jpg\)"):
        evaluate_saved(saved / "predictions")
    DatasetCatalog.remove(NAME)
    with pytest.raises(UserError, match=f"index.json: no data set '{NAME}' is registered"):
        evaluate_saved(saved / "predictions")


def test_prediction_with_an_unknown_label_is_not_saved(tmp_path):
    records = register(tmp_path / "data")
    evaluator = SemSegEvaluator(NAME, tmp_path, SemSegOptions(save_predictions=True))
    wrong = {"label_map": torch.full(SIZE, 300, dtype=torch.int32)}
    with pytest.raises(UserError, match=r"1\.jpg: the prediction has the label 300, but .* 300 cl"):
        evaluator.process(records[:1], [wrong])
    assert not (tmp_path / "predictions").exists()
