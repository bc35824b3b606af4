"""The data sets of the published evaluation; importing this package registers them."""

from .builtin import DATASETS, SemSegDataset, datasets_root
from .categories import read_categories
from .files import load_label_map

__all__ = [
    "DATASETS",
    "SemSegDataset",
    "datasets_root",
    "load_label_map",
    "read_categories",
]
