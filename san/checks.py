"""Mistakes in a config that are found before hours of work instead of after them."""

import importlib.util

from san.data.build import get_records
from san.data.tasks import (
    RETRIEVAL,
    SEM_SEG,
    TASKS,
    ZERO_SHOT,
    metadata_of,
    task_of,
)
from san.dataset_names import short_name
from san.errors import UserError
from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor
from san.protocol import evaluation_vocabulary, load_protocol

# INPUT.DATASET_MAPPER_NAME that CLIP trains with, and the tasks that it can be evaluated on; all
# other meta-architectures are segmentors
CLIP_MAPPER, CLIP_TASKS = "clip_captions", (ZERO_SHOT, RETRIEVAL)


def check_config(cfg):
    """Raise a UserError for keys that a training would stumble over later."""
    for name in cfg.DATASETS.TRAIN if cfg.MODEL.META_ARCHITECTURE == "SAN" else ():
        num_classes = len(metadata_of(name).get("stuff_classes", ()))
        if num_classes not in (0, cfg.MODEL.SAN.NUM_CLASSES):
            raise UserError(
                f"MODEL.SAN.NUM_CLASSES is {cfg.MODEL.SAN.NUM_CLASSES}, but the training data set "
                f"'{name}' (DATASETS.TRAIN) has {num_classes} classes; set it to that"
            )
    _check_mapper(cfg)
    if cfg.WANDB.ENABLED and importlib.util.find_spec("wandb") is None:
        raise UserError(
            "WANDB.ENABLED is True, but the package wandb is not installed: "
            "run `pip install wandb`, or set WANDB.ENABLED False"
        )


def _check_mapper(cfg):
    name, model = cfg.INPUT.DATASET_MAPPER_NAME, cfg.MODEL.META_ARCHITECTURE
    if (model == "CLIP") != (name == CLIP_MAPPER):
        raise UserError(
            f"INPUT.DATASET_MAPPER_NAME is '{name}', which does not fit MODEL.META_ARCHITECTURE "
            f"'{model}': '{CLIP_MAPPER}' is for 'CLIP', and for it alone"
        )


def check_test_datasets(cfg):
    """Raise a UserError for DATASETS.TEST that are unknown, not there, or not for this model."""
    model = cfg.MODEL.META_ARCHITECTURE
    tasks = CLIP_TASKS if model == "CLIP" else (SEM_SEG,)
    _check_report_folders(cfg.DATASETS.TEST)
    for name in cfg.DATASETS.TEST:
        get_records([name], "DATASETS.TEST")
        if task_of(name) not in tasks:
            raise UserError(
                f"DATASETS.TEST: '{name}' is a data set of {TASKS[task_of(name)].title}, which "
                f"MODEL.META_ARCHITECTURE '{model}' cannot be evaluated on; it can on "
                f"{' and '.join(TASKS[task].title for task in tasks)}"
            )
        if model != "CLIP":
            _check_words(cfg, name)
    if cfg.TEST.AUG.ENABLED and model == "CLIP":
        raise UserError("TEST.AUG.ENABLED is True, but there is no test-time augmentation for CLIP")
    if cfg.TEST.ORACLE_VOCABULARY and model == "CLIP":
        raise UserError(
            "TEST.ORACLE_VOCABULARY is True, but CLIP itself is not evaluated on label maps; set "
            "it to False"
        )
    for key in ("PROTOCOL", "VOCABULARY"):
        if cfg.TEST[key] and model == "CLIP":
            raise UserError(f"TEST.{key} is '{cfg.TEST[key]}', but CLIP's own evaluation has none")


def check_words_fit(cfg, model):
    """Raise a UserError for words of DATASETS.TEST that are too long for the model's text tower."""
    for name in cfg.DATASETS.TEST if isinstance(model, OpenVocabSegmentor) else ():
        inputs = {"meta": {"dataset_name": name}}
        if cfg.TEST.PROTOCOL:
            inputs["protocol"] = load_protocol(cfg.TEST.PROTOCOL, name)
        vocabulary = evaluation_vocabulary(cfg, name)
        if vocabulary is not None:
            inputs["vocabulary"] = vocabulary
        words = [word for synonyms in model.vocabulary_of(inputs) for word in synonyms]
        origin = f"'{name}' in DATASETS.TEST"
        try:
            model.text_classifier.check_length(words, model.templates_of(inputs), origin)
        except UserError as error:
            raise UserError(
                f"{error}: TEST.PROTOCOL common has short ones for the data sets known here, "
                "TEST.VOCABULARY FILE those of your own for one data set; or leave it out"
            ) from None


def _check_report_folders(names):
    owner = {}
    for name in names:
        other = owner.setdefault(short_name(name), name)
        if other != name:
            raise UserError(
                f"DATASETS.TEST: the reports of '{other}' and '{name}' would share the folder "
                f"'{short_name(name)}'; rename one of the files"
            )


def _check_words(cfg, dataset_name):
    """Read the protocol and the words of a data set, and refuse what does not go together."""
    if cfg.TEST.PROTOCOL:
        load_protocol(cfg.TEST.PROTOCOL, dataset_name)
    vocabulary = evaluation_vocabulary(cfg, dataset_name)
    if vocabulary is None or vocabulary.background_threshold is None:
        return
    for key, value in (
        ("ORACLE_VOCABULARY", cfg.TEST.ORACLE_VOCABULARY),
        ("AUG.ENABLED", cfg.TEST.AUG.ENABLED),
    ):
        if value:
            raise UserError(
                f"TEST.{key} is True, but it has no background_threshold, and the vocabulary of "
                f"'{dataset_name}' does; set it to False, or take the threshold out of the file"
            )
