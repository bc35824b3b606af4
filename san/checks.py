"""Mistakes in a config that are found before hours of work instead of after them."""

import importlib.util

from detectron2.data import MetadataCatalog

from san.data.build import get_records
from san.errors import UserError


def check_config(cfg):
    """Raise a UserError for keys that a training would stumble over later."""
    for name in cfg.DATASETS.TRAIN if cfg.MODEL.META_ARCHITECTURE == "SAN" else ():
        num_classes = len(MetadataCatalog.get(name).get("stuff_classes", ()))
        if num_classes not in (0, cfg.MODEL.SAN.NUM_CLASSES):
            raise UserError(
                f"MODEL.SAN.NUM_CLASSES is {cfg.MODEL.SAN.NUM_CLASSES}, but the training data set "
                f"'{name}' (DATASETS.TRAIN) has {num_classes} classes; set it to that"
            )
    if cfg.WANDB.ENABLED and importlib.util.find_spec("wandb") is None:
        raise UserError(
            "WANDB.ENABLED is True, but the package wandb is not installed: "
            "run `pip install wandb`, or set WANDB.ENABLED False"
        )


def check_test_datasets(cfg):
    """Raise a UserError if a data set of DATASETS.TEST is unknown or its files are missing."""
    for name in cfg.DATASETS.TEST:
        get_records([name], "DATASETS.TEST")
