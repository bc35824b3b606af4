"""Mappers against values recorded from the published code, and what bad records get."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.data import TestDatasetMapper, TrainDatasetMapper
from san.data.dataset_mapper import labels_to_instances
from san.errors import UserError
from tests.golden import fill
from tests.golden.golden_io import Golden

COCO = "coco_2017_train_stuff_sem_seg"


@pytest.fixture(scope="module")
def golden():
    return Golden.load(str(Path(__file__).parents[1] / "golden" / "golden_mapper"))


@pytest.fixture
def published_cfg(cfg):
    """INPUT as in the published Base-coco-stuff-164K-171.yaml."""
    cfg.INPUT.MIN_SIZE_TRAIN = tuple(range(320, 961, 64))
    cfg.INPUT.MAX_SIZE_TRAIN = cfg.INPUT.MAX_SIZE_TEST = 2560
    cfg.INPUT.MIN_SIZE_TEST = cfg.INPUT.SIZE_DIVISIBILITY = 640
    cfg.INPUT.CROP.SIZE = [640, 640]
    return cfg


@pytest.fixture
def golden_record(golden, tmp_path):
    """case name -> record of the image that the golden values were made from."""

    def write(case):
        height, width = golden.meta["info"][case]["h"], golden.meta["info"][case]["w"]
        image = fill.make_image(f"{case}/img0", height, width)  # (3, H, W)
        labels = fill.make_label_map(f"{case}/gt0", height, width, (0, 5, 9, 170), 60)  # (H, W)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "image.png")
        Image.fromarray(labels.numpy().astype(np.uint8)).save(tmp_path / "labels.png")
        return make_record(tmp_path / "image.png", tmp_path / "labels.png")

    return write


def make_record(image, labels):
    return {
        "file_name": str(image),
        "sem_seg_file_name": str(labels),
        "meta": {"dataset_name": COCO},
    }


def to_label_map(instances, ignore_label=255):
    """Paint the masks of all classes: the (H, W) label map that they were made from."""
    labels = torch.full(instances.image_size, ignore_label)
    for class_id, mask in zip(instances.gt_classes, instances.gt_masks, strict=True):
        labels[mask] = class_id
    return labels


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("case", ["m0", "m1"])
def test_training_equals_published(golden, golden_record, published_cfg, case, seed):
    """Bit for bit, seen with Pillow 10 and 13 and OpenCV 4.10 and 5.0."""
    mapper, record = TrainDatasetMapper(published_cfg), golden_record(case)
    np.random.seed(seed)
    random.seed(seed)
    mapped = mapper(record)
    instances, expected = mapped["instances"], golden.meta["info"][case]["train"][str(seed)]
    assert mapped["image"].dtype == torch.uint8
    golden.check(f"{case}/train{seed}/image", mapped["image"], atol=0)
    golden.check(f"{case}/train{seed}/sem_seg", to_label_map(instances).to(torch.uint8), atol=0)
    assert instances.gt_classes.tolist() == expected["gt_classes"]
    assert instances.gt_masks.sum((1, 2)).tolist() == expected["gt_pixels"]
    num_grey = (mapped["image"] == 128).all(0).sum().item()
    assert num_grey == expected["padding_pixels_value_128"]


@pytest.mark.parametrize("case", ["m0", "m1"])
def test_evaluation_equals_published(golden, golden_record, published_cfg, case):
    record = golden_record(case)
    mapped = TestDatasetMapper(published_cfg)(record)
    golden.check(f"{case}/test/image", mapped["image"], atol=0)
    info = golden.meta["info"][case]
    assert (mapped["height"], mapped["width"]) == (info["h"], info["w"])
    assert mapped["output"] == "label_map"
    assert record.items() <= mapped.items()


def test_training_item(cfg, coco_root):
    record = {**DatasetCatalog.get(COCO)[0], "meta": {"dataset_name": COCO}, "seed": 7}
    mapped = TrainDatasetMapper(cfg)(record)
    instances = mapped["instances"]
    num_classes = len(instances)
    assert mapped["image"].shape == (3, 64, 64) and instances.image_size == (64, 64)
    assert type(instances.gt_masks) is torch.Tensor
    assert instances.gt_masks.shape == (num_classes, 64, 64) and num_classes > 0
    assert instances.gt_masks.dtype == torch.bool and instances.gt_classes.dtype == torch.int64
    assert instances.gt_masks.sum(0).max() == 1  # no pixel has two classes
    assert record.items() <= mapped.items()
    assert (mapped["width"], mapped["height"]) == Image.open(record["file_name"]).size


def test_evaluation_does_not_read_the_label_map(cfg, coco_root):
    record = {**DatasetCatalog.get(COCO)[0], "meta": {"dataset_name": COCO}}
    Path(record["sem_seg_file_name"]).unlink()
    assert TestDatasetMapper(cfg)(record)["sem_seg_file_name"] == record["sem_seg_file_name"]


def test_no_labeled_pixel_gives_no_instance():
    instances = labels_to_instances(torch.full((4, 6), 255), 255)
    assert instances.gt_classes.shape == (0,) and instances.gt_classes.dtype == torch.int64
    assert instances.gt_masks.shape == (0, 4, 6) and instances.gt_masks.dtype == torch.bool


def test_16_bit_labels_and_their_ignore_label(cfg, tmp_path):
    labels = np.full((40, 50), 65535, np.uint16)
    labels[:, :20] = 846
    labels[:, 20:30] = 255  # a class like any other here
    Image.fromarray(labels).save(tmp_path / "labels.tif")
    Image.new("RGB", (50, 40)).save(tmp_path / "image.jpg")
    record = make_record(tmp_path / "image.jpg", tmp_path / "labels.tif")
    record["meta"] = {"dataset_name": "ade20k_full_sem_seg_train"}
    cfg.INPUT.CROP.ENABLED = False
    cfg.INPUT.MIN_SIZE_TRAIN = (40,)
    instances = TrainDatasetMapper(cfg)(record)["instances"]
    assert instances.gt_classes.tolist() == [255, 846]
    assert instances.gt_masks.sum((1, 2)).tolist() == [400, 800]


def test_without_padding(cfg, coco_root):
    cfg.INPUT.SIZE_DIVISIBILITY = -1
    cfg.INPUT.MIN_SIZE_TRAIN = (32,)
    record = {**DatasetCatalog.get(COCO)[0], "meta": {"dataset_name": COCO}}
    mapped = TrainDatasetMapper(cfg)(record)
    assert min(mapped["image"].shape[1:]) == 32
    assert mapped["image"].shape[1:] == mapped["instances"].image_size


def test_upright_image_and_label_map_of_that_size(cfg, tmp_path):
    """A label map is drawn on the picture as it is seen, EXIF orientation applied."""
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (60, 40)).save(tmp_path / "image.jpg", exif=exif)
    Image.new("L", (40, 60), 3).save(tmp_path / "labels.png")
    record = make_record(tmp_path / "image.jpg", tmp_path / "labels.png")
    mapped = TrainDatasetMapper(cfg)(record)
    assert (mapped["height"], mapped["width"]) == (60, 40)
    Image.new("L", (60, 40), 3).save(tmp_path / "labels.png")
    with pytest.raises(UserError, match="has 40 x 60 pixels.*has 60 x 40.*EXIF"):
        TrainDatasetMapper(cfg)(record)


@pytest.mark.parametrize("bad_id", [171, 254])
def test_unknown_id_is_named(cfg, coco_root, bad_id):
    record = {**DatasetCatalog.get(COCO)[0], "meta": {"dataset_name": COCO}}
    labels = np.array(Image.open(record["sem_seg_file_name"]))
    labels[3, 4] = bad_id
    Image.fromarray(labels).save(record["sem_seg_file_name"])
    match = rf"{Path(record['sem_seg_file_name']).name}: unknown class id {bad_id}.*0 to 170.*255"
    with pytest.raises(UserError, match=match):
        TrainDatasetMapper(cfg)(record)


def test_negative_id_is_named(cfg, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    Image.fromarray(np.full((8, 8), -1, np.int32)).save(tmp_path / "labels.tif")
    with pytest.raises(UserError, match=r"labels\.tif: unknown class id -1"):
        TrainDatasetMapper(cfg)(make_record(tmp_path / "image.png", tmp_path / "labels.tif"))


@pytest.mark.parametrize("mapper_class", [TrainDatasetMapper, TestDatasetMapper])
def test_truncated_image_is_named(cfg, coco_root, mapper_class):
    record = {**DatasetCatalog.get(COCO)[0], "meta": {"dataset_name": COCO}}
    path = Path(record["file_name"])
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=path.name):
        mapper_class(cfg)(record)


@pytest.mark.parametrize("crop_type", ["absolute", "absolute_range"])
def test_crop_larger_than_padding_is_refused_when_built(cfg, crop_type):
    cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE = crop_type, [64, 80]
    with pytest.raises(UserError, match=r"CROP\.SIZE \(64, 80\).*SIZE_DIVISIBILITY 64"):
        TrainDatasetMapper(cfg)


def test_image_larger_than_padding_is_refused_when_met(cfg, coco_root):
    cfg.INPUT.CROP.ENABLED = False
    cfg.INPUT.MIN_SIZE_TRAIN = (80,)
    record = {**DatasetCatalog.get(COCO)[0], "meta": {"dataset_name": COCO}}
    with pytest.raises(UserError, match=r"\.jpg: .*SIZE_DIVISIBILITY 64; set INPUT\.CROP"):
        TrainDatasetMapper(cfg)(record)


@pytest.mark.parametrize("mapper_class", [TrainDatasetMapper, TestDatasetMapper])
def test_other_channel_order_is_refused(cfg, mapper_class):
    cfg.INPUT.FORMAT = "BGR"
    with pytest.raises(UserError, match=r"INPUT\.FORMAT is 'BGR'"):
        mapper_class(cfg)


def test_records_are_not_changed(cfg, coco_root):
    record = {**DatasetCatalog.get(COCO)[0], "meta": {"dataset_name": COCO}}
    before = {**record, "meta": dict(record["meta"])}
    TrainDatasetMapper(cfg)(record)["meta"]["dataset_name"] = "other"
    TestDatasetMapper(cfg)(record)["meta"]["dataset_name"] = "other"
    assert record == before
    assert MetadataCatalog.get(COCO).ignore_label == 255
