"""A miniature COCO-Stuff on disk and a small configuration for it."""

import pytest
from detectron2.config import get_cfg
from detectron2.projects.deeplab import add_deeplab_config

from san.config import add_san_config
from tests.miniatures import write_coco_stuff


@pytest.fixture
def coco_root(tmp_path, monkeypatch):
    """Root folder with a miniature COCO-Stuff, set as DETECTRON2_DATASETS."""
    write_coco_stuff(tmp_path, num_train=5, num_val=3)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


@pytest.fixture
def cfg():
    """The published recipe at a tenth of its size, batches of 2, no worker processes."""
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_san_config(cfg)
    cfg.DATASETS.TRAIN = ("coco_2017_train_stuff_sem_seg",)
    cfg.DATASETS.TEST = ("coco_2017_test_stuff_sem_seg",)
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.MIN_SIZE_TRAIN = (32, 48, 64, 80, 96)
    cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
    cfg.INPUT.MAX_SIZE_TRAIN = 256
    cfg.INPUT.MIN_SIZE_TEST = 64
    cfg.INPUT.MAX_SIZE_TEST = 256
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.CROP.TYPE = "absolute"
    cfg.INPUT.CROP.SIZE = [64, 64]
    cfg.INPUT.COLOR_AUG_SSD = True
    cfg.INPUT.SIZE_DIVISIBILITY = 64
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SEED = 3
    return cfg
