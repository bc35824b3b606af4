"""From files on disk to model inputs: data sets, mappers and loaders."""

from . import datasets  # registers the data sets
from .build import TrainLoader, build_test_loader, build_train_loader
from .caption_mapper import CaptionMapper, ClipTestMapper
from .dataset_mapper import TestDatasetMapper, TrainDatasetMapper

__all__ = [
    "CaptionMapper",
    "ClipTestMapper",
    "TestDatasetMapper",
    "TrainDatasetMapper",
    "TrainLoader",
    "build_test_loader",
    "build_train_loader",
    "datasets",
]
