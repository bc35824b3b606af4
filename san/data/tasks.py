"""What data sets are for, and what their records and metadata must have."""

from typing import NamedTuple

from detectron2.data import DatasetCatalog, MetadataCatalog

from san.dataset_names import parse_yaml_name

from .datasets.captions import register_captions_jsonl
from .datasets.yaml_dataset import register_coco_json, register_yaml


class Task(NamedTuple):
    """One kind of data set."""

    title: str  # in words
    record_keys: tuple  # of every record, beside "file_name"
    metadata_keys: tuple


SEM_SEG, ZERO_SHOT, RETRIEVAL = "sem_seg", "zero_shot_classification", "retrieval"
TASKS = {
    SEM_SEG: Task(
        "semantic segmentation", ("sem_seg_file_name",), ("stuff_classes", "ignore_label")
    ),
    ZERO_SHOT: Task("zero-shot classification", ("class",), ("thing_classes",)),
    RETRIEVAL: Task("captioned images", ("captions", "content"), ()),
}


def task_of(dataset_name):
    """Task of a data set, a key of TASKS, by its metadata's ``evaluator_type``.

    A data set that says nothing, or of a type of Detectron2 that is none of these, counts as
    semantic segmentation.
    """
    register_file(dataset_name)
    evaluator_type = MetadataCatalog.get(dataset_name).get("evaluator_type")
    return evaluator_type if evaluator_type in TASKS else SEM_SEG


def register_file(dataset_name):
    """Register a data set name that is the path of a file.

    That is a file of captions (.jsonl), one that describes a data set (.yaml, and ":SPLIT" where it
    has splits) or COCO's instances or panoptic segments (.json).

    Raises:
        UserError: a .yaml or .json file is missing or has a mistake.
    """
    if dataset_name in DatasetCatalog:
        return
    if dataset_name.endswith(".jsonl"):
        register_captions_jsonl(dataset_name, dataset_name)
    elif parse_yaml_name(dataset_name):
        register_yaml(dataset_name)
    elif dataset_name.endswith(".json"):
        register_coco_json(dataset_name)


def metadata_of(dataset_name):
    """Metadata of a data set, in any process: a worker may have to register a file anew."""
    register_file(dataset_name)
    return MetadataCatalog.get(dataset_name)
