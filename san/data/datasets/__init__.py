"""The data sets of the published evaluation, and captions; importing this registers them."""

from .builtin import DATASETS
from .captions import register_captions_jsonl
from .categories import read_categories
from .files import load_label_map, load_labels
from .sem_seg_dataset import SemSegDataset, datasets_root
from .shapescenes import SHAPESCENES

__all__ = [
    "DATASETS",
    "SHAPESCENES",
    "SemSegDataset",
    "datasets_root",
    "load_label_map",
    "load_labels",
    "read_categories",
    "register_captions_jsonl",
]
