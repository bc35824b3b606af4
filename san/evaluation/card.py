"""The card of an evaluation: its figures, and all that is needed to get them again.

card.json, whose keys always come in this order:

    format      FORMAT
    results     data set -> {kind ("sem_seg", ...), images, seconds, seconds_per_image, metrics
                (percent), protocol {name, sha256}, vocabulary {classes, sha256}}; null for what a
                data set does not have
    model       MODEL.META_ARCHITECTURE
    weights     {source, file_sha256, sha256}: what was asked for; digest of that file, null
                where there is none; digest of the tensors, the same in every file format
    config      {sha256, values}: the keys that decide figures, and the digest of `values`
    code        {san, revision, dirty}
    versions    of libraries
    machine     {system, cpu, cores, threads, gpu, processes}
    cost        {seconds, seconds_per_image, peak_memory_mb {cpu, gpu}} of all data sets; the
                memory is that of the largest process
    command     the command line
    created     time, UTC
    bootstrap   data set -> {level, seed, metric (list of replicates), ...}; empty without one

card.md says the same to people.
"""

import dataclasses
import datetime
import json
import logging
from pathlib import Path
from typing import NamedTuple

from detectron2.data import MetadataCatalog
from detectron2.utils import comm

from san.checkpoint import local_path
from san.data.tasks import SEM_SEG, task_of
from san.errors import UserError
from san.files import file_sha256, write_json, write_text
from san.protocol import evaluation_vocabulary, load_protocol
from san.provenance import (
    code_version,
    command_line,
    library_versions,
    machine,
    value_sha256,
    weights_sha256,
)

from .card_text import card_text
from .report import METRICS, without_nan

logger = logging.getLogger(__name__)

FORMAT = "san evaluation card 1"
NAME = "card.json"
# Keys that name files, pick data sets (whose figures stand under their names), or set the pace;
# a key that ends in a dot stands for all below it
NO_BEARING = (
    *("OUTPUT_DIR", "VERSION", "MODEL.WEIGHTS", "MODEL.DEVICE", "DATASETS.", "DATALOADER."),
    *("TEST.EXPECTED_RESULTS", "TEST.EVAL_PERIOD", "SOLVER.TEST_IMS_PER_BATCH", "WANDB."),
    *("CUDNN_BENCHMARK", "VIS_PERIOD", "TEST.SAVE_PREDICTIONS"),
    "TEST.VOCABULARY",  # its words have a digest of their own
)


class Evaluated(NamedTuple):
    """The evaluation of one data set.

    ``output_dir`` is where its reports are, ``seconds`` the wall time.
    """

    dataset: str
    kind: str  # a key of METRICS
    metrics: dict
    images: int
    seconds: float
    output_dir: Path


def write_card(folder, evaluated, memory, weights, cfg=None):
    """Write card.json and card.md of an evaluation.

    Args:
        folder (Path)
        evaluated (list[Evaluated]): of the metrics, those of METRICS are kept.
        memory (dict): of `san.evaluation.cost.largest_memory`.
        weights (dict): of `describe_weights`, or like it.
        cfg: the whole config; None: no model was run.
    """
    seconds, images = (sum(getattr(e, key) for e in evaluated) for key in ("seconds", "images"))
    card = {
        "format": FORMAT,
        "results": {e.dataset: _describe_result(e, cfg) for e in evaluated},
        "model": cfg and cfg.MODEL.META_ARCHITECTURE,
        "weights": weights,
        "config": cfg and describe_config(cfg),
        "code": code_version(),
        "versions": library_versions(),
        "machine": {
            **machine(cfg.MODEL.DEVICE if cfg else "cpu"),
            "processes": comm.get_world_size(),
        },
        "cost": {
            "seconds": seconds,
            "seconds_per_image": seconds / max(1, images),
            "peak_memory_mb": memory,
        },
        "command": command_line(),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "bootstrap": _read_replicates(evaluated),
    }
    card = without_nan(card)
    write_json(Path(folder) / NAME, card)
    write_text((Path(folder) / NAME).with_suffix(".md"), card_text(card))
    logger.info("What it takes to get these figures again: %s", Path(folder) / NAME)


def read_card(path):
    """The card in a file, or in the folder of an evaluation or of a run (OUTPUT_DIR).

    Raises:
        UserError: there is none, or the file is something else.
    """
    path = Path(path)
    candidates = [path / NAME, path / "inference" / NAME] if path.is_dir() else [path]
    found = [candidate for candidate in candidates if candidate.is_file()]
    if not found:
        raise UserError(
            f"no card at {' or '.join(map(str, candidates))}: `san evaluate` and `train_net.py` "
            "write it to OUTPUT_DIR/inference; give that file or its folder"
        )
    try:
        card = json.loads(found[0].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{found[0]} cannot be read as JSON ({error}); evaluate again") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise UserError(
            f"{found[0]} is not the card of an evaluation ({FORMAT!r} is missing in it): give the "
            f"{NAME} of OUTPUT_DIR/inference"
        )
    return card


def _describe_result(evaluated, cfg):
    metrics = evaluated.metrics
    return {
        "kind": evaluated.kind,
        "images": evaluated.images,
        "seconds": evaluated.seconds,
        "seconds_per_image": evaluated.seconds / max(1, evaluated.images),
        "metrics": {key: metrics[key] for key in METRICS[evaluated.kind] if key in metrics},
        **_describe_words(cfg, evaluated.dataset),
    }


def _read_replicates(evaluated):
    """Bootstrap replicates of the data sets, which their evaluators have written, where any."""
    found = {}
    for item in evaluated:
        path = Path(item.output_dir) / "sem_seg_evaluation.json"
        report = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if "bootstrap" in report:
            found[item.dataset] = report["bootstrap"]
    return found


def describe_weights(model, source):
    """Weights of a card.

    Args:
        model (nn.Module): with the weights.
        source (str): path, URL or ``san://NAME`` that they came from, or what else they are.

    Returns:
        dict: "source", "file_sha256" (None where ``source`` is no file), "sha256".
    """
    path = Path(local_path(source))
    digest = file_sha256(path) if path.is_file() else None
    return {"source": source, "file_sha256": digest, "sha256": weights_sha256(model)}


def describe_config(cfg):
    """Config of a card: "sha256" and "values", flat ({"A.B": value}) and without NO_BEARING."""
    values = {
        key: value
        for key, value in _flatten(cfg)
        if not any(key == name or (name[-1] == "." and key.startswith(name)) for name in NO_BEARING)
    }
    return {"sha256": value_sha256(values), "values": values}


def _flatten(node, prefix=""):
    """(key, value) pairs of a config, sorted; tuples become lists, as JSON has them."""
    for key, value in sorted(node.items()):
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, json.loads(json.dumps(value))


def _describe_words(cfg, name):
    """Protocol and class list of a data set, as the model got them."""
    protocol = vocabulary = None
    if cfg and task_of(name) == SEM_SEG:
        vocabulary = evaluation_vocabulary(cfg, name)
        if cfg.TEST.PROTOCOL:
            protocol = load_protocol(cfg.TEST.PROTOCOL, name)
    return {
        "protocol": protocol and {"name": protocol.name, "sha256": _protocol_sha256(protocol)},
        "vocabulary": _describe_vocabulary(vocabulary, MetadataCatalog.get(name)),
    }


def _describe_vocabulary(vocabulary, metadata):
    """Number and digest of the classes; of the data set's own names without a vocabulary."""
    names = metadata.get("stuff_classes") or metadata.get("thing_classes")
    if vocabulary is None and names is None:
        return None
    classes = vocabulary.classes if vocabulary else [[name.strip()] for name in names]
    words = {
        "classes": classes,
        "templates": vocabulary and vocabulary.templates,
        "background_threshold": vocabulary and vocabulary.background_threshold,
    }
    return {"classes": len(classes), "sha256": value_sha256(words)}


def _protocol_sha256(protocol):
    """Digest of a protocol's settings; its class list has one of its own."""
    fields = {field.name for field in dataclasses.fields(protocol)}
    fields -= {"name", "dataset", "vocabulary"}
    return value_sha256({name: getattr(protocol, name) for name in fields})
