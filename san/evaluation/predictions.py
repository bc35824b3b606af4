"""Evaluate label maps that were saved when a model was evaluated, without the model."""

import json
from dataclasses import replace
from pathlib import Path

from detectron2.data import MetadataCatalog

from san.data.build import get_records
from san.errors import UserError

from .options import SemSegOptions
from .prediction_files import FORMAT, INDEX, ORACLE_FOLDER, read_labels, relative_names
from .sem_seg import ORACLE, SemSegEvaluator


def evaluate_saved(folder, output_dir=None, options=None):
    """Evaluate predictions that were saved with TEST.SAVE_PREDICTIONS.

    Args:
        folder (str): with index.json.
        output_dir (str): for the reports, see SemSegEvaluator; None: nowhere.
        options (SemSegOptions): what to measure; predictions with an oracle vocabulary are
            evaluated if they are there, and nothing is saved again, whatever it says.

    Returns:
        tuple: name of the data set; what `SemSegEvaluator.evaluate` returns.

    Raises:
        UserError: a folder without an index, a data set that is missing or has other classes or
            images than at that time, a PNG that is missing or was changed.
    """
    folder = Path(folder)
    index = _read_index(folder)
    records = get_records([index["dataset"]], f"{folder / INDEX}")
    _check_classes(folder, index)
    names = relative_names(records)
    _check_images(folder, index, names.values())
    options = replace(
        options or SemSegOptions(), oracle_vocabulary=index["oracle"], save_predictions=False
    )
    evaluator = SemSegEvaluator(index["dataset"], output_dir, options)
    for record in records:
        entry = index["images"][names[record["file_name"]]]
        output = {"label_map": read_labels(folder / entry["png"], entry["sha256"])}
        if index["oracle"]:
            path = folder / ORACLE_FOLDER / entry["png"]
            output[ORACLE] = read_labels(path, entry["oracle_sha256"])
        evaluator.process([record], [output])
    return index["dataset"], evaluator.evaluate()


def _read_index(folder):
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ValueError(f"its format is {index['format']}, this version reads {FORMAT}")
        missing = {"dataset", "classes", "oracle", "images"} - index.keys()
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist: {folder} is no folder of predictions, or the evaluation that "
            "wrote it did not finish; evaluate again with TEST.SAVE_PREDICTIONS True"
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not an index of predictions ({error}); evaluate again with "
            "TEST.SAVE_PREDICTIONS True"
        ) from None
    return index


def _check_classes(folder, index):
    classes = list(MetadataCatalog.get(index["dataset"]).stuff_classes)
    if classes != index["classes"]:
        raise UserError(
            f"{folder / INDEX}: the predictions were made with {len(index['classes'])} "
            f"classes of '{index['dataset']}' that differ from its {len(classes)} classes of "
            "today; predict again"
        )


def _check_images(folder, index, names):
    names, saved = set(names), index["images"].keys()
    for problem, images in (("have no prediction", names - saved), ("are unknown", saved - names)):
        if images:
            shown = ", ".join(sorted(images)[:3])
            raise UserError(
                f"{folder / INDEX}: {len(images)} images of '{index['dataset']}' {problem} "
                f"({shown}); predict again, or restore the data set as it was"
            )
