"""SemSegEvaluator against Detectron2's own, on the same predictions."""

import json
import math
import pickle

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.samplers import InferenceSampler
from detectron2.engine import launch
from detectron2.evaluation import SemSegEvaluator as Detectron2Evaluator
from PIL import Image

from san.errors import UserError
from san.evaluation import SemSegEvaluator, SemSegOptions

NAME = "evaluation_test_sem_seg"
CLASSES = ["tree", "a road", "sky", "cat", "absent", "absent but predicted"]
IGNORE = 255
WITH_MORE = SemSegOptions(bootstrap_replicates=30, boundary_iou=True)


def write_dataset(folder, ignore_label=IGNORE, sizes=((7, 9), (16, 5), (3, 3))):
    """Random label maps of the first four classes with ignored pixels, and register them."""
    rng = np.random.default_rng(0)
    records = []
    for index, size in enumerate(sizes):
        labels = rng.choice([0, 1, 2, 3, ignore_label], size)
        path = folder / (f"{index}.png" if ignore_label == 255 else f"{index}.tif")
        Image.fromarray(labels.astype(np.uint8 if ignore_label == 255 else np.uint16)).save(path)
        record = {"file_name": f"{index}.jpg", "sem_seg_file_name": str(path)}
        records.append({**record, "height": size[0], "width": size[1]})
    register(records, ignore_label)
    return records


def register(records, ignore_label=IGNORE):
    for catalog in (DatasetCatalog, MetadataCatalog):
        if NAME in catalog.list():
            catalog.remove(NAME)
    DatasetCatalog.register(NAME, lambda: records)
    MetadataCatalog.get(NAME).set(stuff_classes=CLASSES, ignore_label=ignore_label)


def random_scores(record, seed=0):
    """Scores (C, H, W); class 4 never wins."""
    generator = torch.Generator().manual_seed(seed + int(record["file_name"].split(".")[0]))
    scores = torch.rand(len(CLASSES), record["height"], record["width"], generator=generator)
    scores[4] = -1
    return scores


def detectron2_results(records):
    def load(path, dtype):
        return np.asarray(Image.open(path)).astype(dtype)

    reference = Detectron2Evaluator(NAME, sem_seg_loading_fn=load)
    reference.reset()
    reference.process(records, [{"sem_seg": random_scores(r)} for r in records])
    return reference.evaluate()["sem_seg"]


@pytest.mark.parametrize("ignore_label", [255, 65535])
@pytest.mark.parametrize("kind", ["sem_seg", "label_map"])
def test_equals_detectron2(tmp_path, kind, ignore_label):
    records = write_dataset(tmp_path, ignore_label)
    outputs = [{"sem_seg": random_scores(r)} for r in records]
    if kind == "label_map":
        outputs = [{"label_map": o["sem_seg"].argmax(0).int()} for o in outputs]
    evaluator = SemSegEvaluator(NAME)
    for record, output in zip(records, outputs, strict=True):
        evaluator.process([record], [output])
    ours = evaluator.evaluate()["sem_seg"]
    theirs = {k: v for k, v in detectron2_results(records).items() if "oundary" not in k}
    theirs = {k: v for k, v in theirs.items() if not k.startswith("min(IoU")}
    assert list(ours) == list(theirs)
    assert ours == pytest.approx(theirs, rel=1e-12, nan_ok=True)
    assert math.isnan(ours["IoU-absent but predicted"]) and 0 < ours["mIoU"] < 100


def test_none_is_a_wrong_prediction(tmp_path):
    records = write_dataset(tmp_path, sizes=((4, 4),))
    target = torch.from_numpy(np.asarray(Image.open(records[0]["sem_seg_file_name"])).astype(int))
    evaluator = SemSegEvaluator(NAME)
    none = (target == 2) | (target == IGNORE)
    evaluator.process(records, [{"label_map": torch.where(none, -1, target).int()}])
    metrics = evaluator.evaluate()["sem_seg"]
    share = (target == 2).sum() / (target != IGNORE).sum()
    assert metrics["IoU-sky"] == metrics["ACC-sky"] == 0 and metrics["IoU-tree"] == 100
    assert metrics["pACC"] == pytest.approx(100 * (1 - share.item()))


def test_reset_forgets(tmp_path):
    records = write_dataset(tmp_path)
    evaluator = SemSegEvaluator(NAME)
    evaluator.process(records, [{"sem_seg": -random_scores(r)} for r in records])
    evaluator.reset()
    evaluator.process(records, [{"sem_seg": random_scores(r)} for r in records])
    assert evaluator.evaluate()["sem_seg"]["mIoU"] == pytest.approx(
        detectron2_results(records)["mIoU"]
    )


def test_reports(tmp_path):
    records = write_dataset(tmp_path)
    evaluator = SemSegEvaluator(NAME, tmp_path / "out")
    evaluator.process(records, [{"sem_seg": random_scores(r)} for r in records])
    metrics = evaluator.evaluate()["sem_seg"]
    report = json.loads((tmp_path / "out" / "sem_seg_evaluation.json").read_text())
    assert report["dataset"] == NAME and report["images"] == 3
    assert report["metrics"]["mIoU"] == metrics["mIoU"]
    assert [c["name"] for c in report["classes"]] == CLASSES
    assert report["classes"][1]["IoU"] == metrics["IoU-a road"]
    absent, predicted = report["classes"][4:]
    assert predicted.pop("predicted_pixels") > 0 == absent.pop("predicted_pixels")
    assert absent == {"name": "absent", "IoU": None, "ACC": None, "pixels": 0}
    table = (tmp_path / "out" / "sem_seg_evaluation.md").read_text()
    assert f"| {NAME} | {metrics['mIoU']:.2f} | {metrics['fwIoU']:.2f} |" in table
    assert "| absent | - | - |" in table
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_label_outside_the_class_list(tmp_path):
    records = write_dataset(tmp_path)
    path = records[1]["sem_seg_file_name"]
    Image.fromarray(np.full((16, 5), 6, np.uint8)).save(path)
    evaluator = SemSegEvaluator(NAME)
    with pytest.raises(UserError, match=rf"{path}: .*id 6 .*{NAME}.* 0 to 5, and 255"):
        evaluator.process([records[1]], [{"sem_seg": random_scores(records[1])}])


def test_label_map_of_another_size(tmp_path):
    records = write_dataset(tmp_path)
    evaluator = SemSegEvaluator(NAME)
    with pytest.raises(UserError, match="0.png: .* has 7 x 9 .*0.jpg has 9 x 7"):
        evaluator.process(records[:1], [{"label_map": torch.zeros(9, 7, dtype=torch.int32)}])


def _evaluate_shard(records, results):
    """One process of two: the images that Detectron2's sampler gives it."""
    register(records)
    shard = [records[i] for i in InferenceSampler(len(records))]
    evaluator = SemSegEvaluator(NAME, options=WITH_MORE)
    evaluator.process(shard, [{"sem_seg": random_scores(r)} for r in shard])
    results.put((len(shard), evaluator.evaluate()))


def test_two_processes_equal_one(tmp_path):
    """Three images over two processes: none is counted twice, and only the main one reports."""
    records = write_dataset(tmp_path)
    evaluator = SemSegEvaluator(NAME, options=WITH_MORE)
    evaluator.process(records, [{"sem_seg": random_scores(r)} for r in records])
    results = mp.get_context("spawn").SimpleQueue()
    launch(_evaluate_shard, 2, dist_url="auto", args=(records, results))
    shards = sorted((results.get() for _ in range(2)), key=lambda shard: shard[0])
    assert [shard[0] for shard in shards] == [1, 2]
    assert shards[0][1] is None and shards[1][1]["sem_seg"] == pytest.approx(
        evaluator.evaluate()["sem_seg"], nan_ok=True
    )


def test_seen_and_unseen_are_reported_where_the_metadata_tell(tmp_path):
    records = write_dataset(tmp_path)
    seen = [True, True, False, False, True, False]
    MetadataCatalog.get(NAME).set(seen=seen)
    evaluator = SemSegEvaluator(NAME, tmp_path / "out")
    evaluator.process(records, [{"sem_seg": random_scores(r)} for r in records])
    metrics = evaluator.evaluate()["sem_seg"]
    of_class = [metrics[f"IoU-{name}"] for name in CLASSES]
    assert metrics["mIoU_seen"] == pytest.approx(np.mean(of_class[:2]))
    assert metrics["mIoU_unseen"] == pytest.approx(np.mean(of_class[2:4]))
    table = (tmp_path / "out" / "sem_seg_evaluation.md").read_text()
    assert "mIoU_seen | mIoU_unseen | mIoU_harmonic |" in table.splitlines()[0]


def test_seen_of_another_length_is_refused(tmp_path):
    write_dataset(tmp_path)
    MetadataCatalog.get(NAME).set(seen=[True])
    with pytest.raises(UserError, match=r"metadata 'seen' has 1 entries for 6 class names"):
        SemSegEvaluator(NAME)


def test_memory_does_not_grow_with_the_images(tmp_path):
    records = write_dataset(tmp_path)
    evaluator = SemSegEvaluator(NAME, options=WITH_MORE)
    sizes = []
    for _ in range(20):
        evaluator.process(records, [{"sem_seg": random_scores(r)} for r in records])
        sizes.append(len(pickle.dumps(vars(evaluator))))
    assert len(set(sizes)) == 1
