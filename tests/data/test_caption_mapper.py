"""Inputs of CLIP: crops, captions, and that the stream of them depends on the seed alone."""

from itertools import islice

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.data import CaptionMapper, ClipTestMapper, build_test_loader, build_train_loader
from san.data.tasks import RETRIEVAL, SEM_SEG, TASKS, ZERO_SHOT, task_of
from san.errors import UserError
from san.modeling.backbone.clip import clip_tokenizer
from tests.captions import clip_config, write_captions


@pytest.fixture
def captions(tmp_path):
    return write_captions(tmp_path / "data", 12)


@pytest.fixture
def cfg(captions, tmp_path):
    return clip_config(captions, tmp_path / "out", "SEED", 3)


@pytest.fixture
def record(tmp_path):
    """An image of 72 x 60 pixels, red on the left and blue on the right, with two captions."""
    pixels = np.zeros((60, 72, 3), np.uint8)
    pixels[:, :36, 0] = pixels[:, 36:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "image.png")
    captions = ["one", "two"]
    return {
        "file_name": str(tmp_path / "image.png"),
        "captions": captions,
        "content": "x",
        "position": 0,
    }


def test_training_item(cfg, record):
    cfg.INPUT.RANDOM_FLIP, cfg.INPUT.CLIP_SIZES_TRAIN = "none", []
    mapper = CaptionMapper(cfg)
    items = [mapper(record) for _ in range(20)]
    tokens = clip_tokenizer(cfg.MODEL.SAN.CLIP_MODEL_NAME)(["one", "two"])
    assert {tuple(item["tokens"].tolist()) for item in items} == set(map(tuple, tokens.tolist()))
    for item in items:
        assert item["image"].shape == (3, 64, 64) and item["image"].dtype == torch.uint8
        assert item["content"] == "x"
        red, _, blue = item["image"].float().mean(dim=1)  # (64,) each
        assert red[0] > 250 and blue[-1] > 250  # nothing is mirrored, both halves are there
    assert len({item["image"].numpy().tobytes() for item in items}) > 5


def test_crop_covers_its_share(cfg, record):
    """A tenth of the image often has one of its two halves alone."""
    cfg.INPUT.CLIP_CROP_AREA = [0.1, 0.1]
    items = [CaptionMapper(cfg)(record) for _ in range(20)]
    one_color = [item["image"][::2].amax(dim=(1, 2)).min() < 128 for item in items]
    assert sum(one_color) > 5


def test_each_batch_has_a_size_of_its_own(cfg, record):
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.INPUT.CLIP_SIZES_TRAIN = [40, 64, 72]
    mapper = CaptionMapper(cfg)
    size = cfg.SOLVER.IMS_PER_BATCH
    items = [mapper({**record, "position": position}) for position in range(30 * size)]
    shapes = [tuple(item["image"].shape[1:]) for item in items]
    assert all(len(set(shapes[i : i + size])) == 1 for i in range(0, len(shapes), size))
    assert len(set(shapes)) > 6  # of 9
    red, _, blue = items[shapes.index((40, 72))]["image"].float().mean(dim=1)  # (72,) each
    assert red[0] > 250 and blue[-1] > 250


def test_position_windows_lie_in_the_grid(cfg, record):
    """Sides on a logarithmic scale: half of them are below the root of both limits' product."""
    cfg.INPUT.CLIP_POSITION_WINDOW = [0.25, 1.0]
    mapper = CaptionMapper(cfg)
    windows = torch.stack([mapper(record)["position_window"] for _ in range(60)])
    top, left, side = windows.unbind(1)
    assert windows.shape == (60, 3) and windows.min() >= 0
    assert side.min() >= 0.25 and side.median() == pytest.approx(0.5, abs=0.12)
    for start in (top, left):
        assert (start + side).max() <= 1 and start.std() > 0.1
    assert not torch.equal(top, left)
    cfg.INPUT.CLIP_POSITION_WINDOW = []
    assert "position_window" not in CaptionMapper(cfg)(record)


def test_every_other_batch_makes_mosaics(cfg, record):
    """Of sizes of their own, and without windows."""
    cfg.INPUT.CLIP_SIZES_TRAIN, cfg.INPUT.CLIP_MOSAIC_SIZES_TRAIN = [64], [32, 48]
    cfg.INPUT.CLIP_POSITION_WINDOW = [0.5, 1.0]
    mapper, size = CaptionMapper(cfg), cfg.SOLVER.IMS_PER_BATCH
    items = [mapper({**record, "position": position}) for position in range(40 * size)]
    batches = [items[i : i + size] for i in range(0, len(items), size)]
    shapes = [{tuple(x["image"].shape[1:]) for x in batch} for batch in batches]
    assert all(shape == {(64, 64)} for shape in shapes[::2])
    assert all(len(shape) == 1 for shape in shapes[1::2])
    assert set.union(*shapes[1::2]) == {(32, 32), (32, 48), (48, 32), (48, 48)}
    for batch in batches[::2]:
        assert all("position_window" in x and "mosaic" not in x for x in batch)
    for batch in batches[1::2]:
        assert all("position_window" not in x and x["mosaic"] for x in batch)


def test_mirror_images(cfg, record):
    cfg.INPUT.RANDOM_FLIP = "horizontal"
    mapper = CaptionMapper(cfg)
    left_is_red = [bool(mapper(record)["image"][0, :, 0].float().mean() > 128) for _ in range(20)]
    assert set(left_is_red) == {True, False}


def test_evaluation_item(cfg, record):
    """60 x 72 -> 64 x 76 -> the 64 columns in the middle, where the edge stays."""
    item = ClipTestMapper(cfg, output="embeddings")(record)
    assert item["output"] == "embeddings" and item["captions"] == record["captions"]
    assert item["image"].shape == (3, 64, 64)
    red, _, blue = item["image"].float().mean(dim=1)
    assert red[:30].min() > 250 and blue[34:].min() > 250


def fingerprint(loader, count):
    return [
        [(x["file_name"], x["tokens"].tolist(), x["image"].numpy().tobytes()) for x in batch]
        for batch in islice(iter(loader), count)
    ]


def test_stream_depends_on_the_seed_alone(cfg):
    loader = build_train_loader(cfg)
    expected = fingerprint(loader, 5)
    loader.start_iter = 3
    assert fingerprint(loader, 2) == expected[3:]
    cfg.DATALOADER.NUM_WORKERS = 2
    assert fingerprint(build_train_loader(cfg), 5) == expected
    cfg.SEED = 4
    assert fingerprint(build_train_loader(cfg), 5) != expected


def test_evaluation_loaders(cfg, captions):
    cfg.SOLVER.TEST_IMS_PER_BATCH = 5
    batches = list(build_test_loader(cfg, str(captions)))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert all(x["output"] == "embeddings" and x["captions"] for batch in batches for x in batch)
    records = [{"file_name": x["file_name"], "class": 1} for x in batches[0]]
    DatasetCatalog.register("own_crops", lambda: records)
    metadata = MetadataCatalog.get("own_crops")
    metadata.set(thing_classes=["a", "b"], evaluator_type=ZERO_SHOT)
    (batch,) = build_test_loader(cfg, "own_crops")
    del records[0]["class"]
    with pytest.raises(UserError, match="'own_crops' is not one of zero-shot.*'class', and 'thing"):
        build_test_loader(cfg, "own_crops")
    DatasetCatalog.remove("own_crops")
    MetadataCatalog.remove("own_crops")
    assert [(x["output"], x["class"]) for x in batch] == [("class_logits", 1)] * 5


def test_tasks(captions):
    assert task_of("ade20k_sem_seg_val") == task_of("no_such_data_set") == SEM_SEG
    assert task_of(str(captions)) == task_of("coco_2017_val_captions") == RETRIEVAL
    assert task_of("shapescenes_crops_val") == ZERO_SHOT
    metadata = MetadataCatalog.get("shapescenes_crops_val").as_dict()
    assert metadata.keys() >= set(TASKS[ZERO_SHOT].metadata_keys)


def test_segmentation_data_is_no_caption_data(cfg):
    DatasetCatalog.register("own_masks", lambda: [{"file_name": "a", "sem_seg_file_name": "b"}])
    cfg.DATASETS.TRAIN = ("own_masks",)
    message = "'own_masks' is not one of captioned images; .*'captions' and 'content' \\(1 records"
    with pytest.raises(UserError, match=message):
        build_train_loader(cfg)
    DatasetCatalog.remove("own_masks")


def test_image_without_captions_is_named(cfg, record):
    with pytest.raises(UserError, match=r"image\.png: this image has no caption; leave it out"):
        CaptionMapper(cfg)({**record, "captions": []})


@pytest.mark.parametrize(("key", "value", "message"), [
    ("CLIP_CROP_AREA", [0.0, 1.0], r"INPUT\.CLIP_CROP_AREA is \[0\.0, 1\.0\].*\[0\.9, 1\.0\]"),
    ("CLIP_SIZES_TRAIN", [64, 50], r"CLIP_SIZES_TRAIN is \[64, 50\].*CLIP's patch of"),
    ("CLIP_SIZES_TRAIN", [0], r"CLIP_SIZES_TRAIN is \[0\].*or empty for CLIP's own size"),
    ("CLIP_MOSAIC_SIZES_TRAIN", [60], r"MOSAIC_SIZES_TRAIN is \[60\].*or empty for no mosaics"),
    ("CLIP_CROP_AREA", [0.9], r"INPUT\.CLIP_CROP_AREA is \[0\.9\]"),
    ("CLIP_POSITION_WINDOW", [0.5, 1.5], r"CLIP_POSITION_WINDOW is \[0\.5, 1\.5\].*\[0\.35, "),
    ("RANDOM_FLIP", "vertical", r"INPUT\.RANDOM_FLIP is 'vertical'.*'horizontal' or 'none'"),
    ("FORMAT", "BGR", r"INPUT\.FORMAT is 'BGR'"),
])  # fmt: skip
def test_bad_keys_are_named(cfg, key, value, message):
    cfg.INPUT[key] = value
    with pytest.raises(UserError, match=message):
        CaptionMapper(cfg)


def test_batch_that_makes_no_mosaics_is_named(cfg):
    cfg.INPUT.CLIP_MOSAIC_SIZES_TRAIN, cfg.SOLVER.IMS_PER_BATCH = [40], 6
    with pytest.raises(
        UserError, match=r"IMS_PER_BATCH is 6; .*MOSAIC.* a multiple of 4: 4 images"
    ):
        CaptionMapper(cfg)
