"""Loaders: data set records -> mapped batches, through Detectron2's own loaders."""

import difflib

import torch
from detectron2.data import (
    DatasetCatalog,
    DatasetFromList,
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.utils import comm

from san.errors import UserError
from san.protocol import evaluation_vocabulary, load_protocol

from .caption_mapper import CaptionMapper, ClipTestMapper
from .dataset_mapper import TestDatasetMapper, TrainDatasetMapper
from .datasets import DATASETS, SHAPESCENES
from .packed_batch import pack, unpack
from .tasks import RETRIEVAL, SEM_SEG, TASKS, ZERO_SHOT, register_file, task_of
from .train_stream import PositionSampler, TrainStream
from .worker_errors import CatchUserError, raise_user_error

# INPUT.DATASET_MAPPER_NAME: task of the training data, mapper
TRAIN_MAPPERS = {
    "mask_former_semantic": (SEM_SEG, TrainDatasetMapper),
    "clip_captions": (RETRIEVAL, CaptionMapper),
}


def build_train_loader(cfg):
    """Training loader over all of DATASETS.TRAIN.

    Every image is padded to one size, so DATALOADER.ASPECT_RATIO_GROUPING could save nothing and
    would break the order of the stream: it is not applied.

    Args:
        cfg: DATASETS.TRAIN and NUM_TRAIN_IMAGES, SOLVER.IMS_PER_BATCH, DATALOADER.NUM_WORKERS,
            INPUT, whose DATASET_MAPPER_NAME names the mapper, SEED (negative: a random seed shared
            by all processes).
    Returns:
        TrainLoader
    Raises:
        UserError: unknown or missing data set, or a key with a value that is not supported.
    """
    _check_loader_keys(cfg)
    task, mapper_class = TRAIN_MAPPERS[cfg.INPUT.DATASET_MAPPER_NAME]
    return TrainLoader(
        _spread(cfg, get_records(cfg.DATASETS.TRAIN, "DATASETS.TRAIN", task)),
        mapper_class(cfg),
        batch_size=cfg.SOLVER.IMS_PER_BATCH,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        seed=cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed(),
    )


class TrainLoader:
    """Infinite iterable of this process' share of each batch, a list of mapped records.

    Iteration i of the whole job takes the items [i * batch_size, (i + 1) * batch_size) of the
    `TrainStream`; process r of W gets every W-th of them, from the r-th on.

    Attributes:
        seed (int): >= 0, decides the order of the records and all augmentations.
        start_iter (int): iteration that the next ``iter()`` begins with.
    """

    def __init__(self, records, mapper, *, batch_size, num_workers=0, seed=0, start_iter=0):
        """
        Args:
            records (list[dict]): data set records.
            mapper (callable): record -> model input; may draw from the global generators.
            batch_size (int): images per iteration, all processes together.
            num_workers (int): loading processes per training process; 0: load in this process.
        """
        self.records = DatasetFromList(records, copy=False)
        self.mapper = mapper
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.start_iter = start_iter

    def __iter__(self):
        loader = build_detection_train_loader(
            TrainStream(self.records, CatchUserError(self.mapper), self.seed),
            mapper=None,
            sampler=PositionSampler(self.start_iter * self.batch_size),
            total_batch_size=self.batch_size,
            aspect_ratio_grouping=False,
            num_workers=self.num_workers,
            generator=torch.Generator(),  # else the DataLoader draws from the global one
            collate_fn=pack,
        )
        return map(raise_user_error, map(unpack, loader))


def build_test_loader(cfg, dataset_name):
    """Evaluation loader over one data set, each process a contiguous part of it.

    Args:
        cfg: INPUT, TEST.PROTOCOL, TEST.VOCABULARY, DATALOADER.NUM_WORKERS,
            SOLVER.TEST_IMS_PER_BATCH (images per process).
        dataset_name (str): registered name.
    Returns:
        TestLoader
    Raises:
        UserError: unknown or missing data set, a protocol or vocabulary that does not fit it.
    """
    loader = build_detection_test_loader(
        get_records([dataset_name], "DATASETS.TEST"),
        mapper=CatchUserError(_test_mapper(cfg, dataset_name)),
        batch_size=cfg.SOLVER.TEST_IMS_PER_BATCH,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
    )
    loader.generator = torch.Generator()  # else each pass draws from the global one
    return TestLoader(loader)


class TestLoader:
    """Sized iterable of lists of model inputs, see `TestDatasetMapper` and `ClipTestMapper`."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    def __init__(self, loader):
        """
        Args:
            loader (torch.utils.data.DataLoader): over a `CatchUserError` mapper.
        """
        self.loader = loader

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        return map(raise_user_error, self.loader)


def _test_mapper(cfg, dataset_name):
    task = task_of(dataset_name)
    if task == SEM_SEG:
        name = cfg.TEST.PROTOCOL
        protocol = load_protocol(name, dataset_name) if name else None
        return TestDatasetMapper(cfg, protocol, evaluation_vocabulary(cfg, dataset_name))
    return ClipTestMapper(cfg, output="class_logits" if task == ZERO_SHOT else "embeddings")


def get_records(names, key, task=None):
    """Records of registered data sets, one after the other.

    Args:
        names (sequence[str]): registered names, or files that `register_file` takes.
        key (str): config key that the names come from, for the message.
        task (str): key of TASKS that the data sets must be of; None: each of its own.
    Returns:
        list[dict]: records as registered, with "meta": {"dataset_name": name} added.
    Raises:
        UserError: no names, an unknown name, missing files, a data set of another task.
    """
    if not names:
        raise UserError(f"{key} is empty; give at least one data set name")
    return [
        {**record, "meta": {"dataset_name": name}}
        for name in names
        for record in _load_dataset(name, key, task)
    ]


def find_dataset(name, key):
    """Register ``name`` if it is a file; UserError, with its origin ``key``, if it is unknown."""
    register_file(name)
    if name not in DatasetCatalog:
        close = difflib.get_close_matches(name, DatasetCatalog, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise UserError(
            f"{key}: no data set '{name}' is registered; {hint}"
            f"The built-in ones are {', '.join([*DATASETS, *SHAPESCENES])}"
        )


def _load_dataset(name, key, task):
    find_dataset(name, key)
    records = DatasetCatalog.get(name)
    metadata = MetadataCatalog.get(name)
    _check_task(name, key, TASKS[task or task_of(name)], records, metadata)
    return records


def _check_task(name, key, task, records, metadata):
    """Raise UserError unless a data set has what its task needs."""
    lacking = [item for item in task.metadata_keys if item not in metadata.as_dict()]
    if lacking or not records or not records[0].keys() >= {"file_name", *task.record_keys}:
        keys = " and ".join(f"'{item}'" for item in ("file_name", *task.record_keys))
        names = " and ".join(f"'{item}'" for item in task.metadata_keys)
        raise UserError(
            f"{key}: data set '{name}' is not one of {task.title}; it needs records with {keys}"
            + (f", and {names} in its metadata" if names else "")
            + f" ({len(records)} records; metadata lacks {lacking or 'nothing'})"
        )


def _spread(cfg, records):
    """DATASETS.NUM_TRAIN_IMAGES of the records, at even steps; 0: all."""
    count = cfg.DATASETS.NUM_TRAIN_IMAGES
    if not 0 <= count <= len(records):
        raise UserError(
            f"DATASETS.NUM_TRAIN_IMAGES is {count}; DATASETS.TRAIN has {len(records)} images: set "
            f"it to 1 to {len(records)}, or to 0 for all"
        )
    return [records[i * len(records) // count] for i in range(count)] if count else records


def _check_loader_keys(cfg):
    if cfg.INPUT.DATASET_MAPPER_NAME not in TRAIN_MAPPERS:
        raise UserError(
            f"INPUT.DATASET_MAPPER_NAME is '{cfg.INPUT.DATASET_MAPPER_NAME}'; it can be "
            f"{', '.join(map(repr, TRAIN_MAPPERS))}"
        )
    if cfg.DATALOADER.SAMPLER_TRAIN != "TrainingSampler":
        raise UserError(
            f"DATALOADER.SAMPLER_TRAIN is '{cfg.DATALOADER.SAMPLER_TRAIN}'; only "
            "'TrainingSampler' (shuffled epochs) is supported"
        )
    batch_size, world_size = cfg.SOLVER.IMS_PER_BATCH, comm.get_world_size()
    if batch_size < 1 or batch_size % world_size:
        raise UserError(
            f"SOLVER.IMS_PER_BATCH is {batch_size}; it must be a positive multiple of the number "
            f"of processes, {world_size}"
        )
