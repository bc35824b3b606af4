"""The evaluation of saved predictions as a run of its own, with results and a card.

`san.evaluation.predictions` has their format.
"""

import json
import time
from pathlib import Path

from san.errors import UserError
from san.files import file_sha256
from san.provenance import value_sha256

from .card import Evaluated, write_card
from .cost import largest_memory
from .predictions import evaluate_saved
from .report import write_results

_INDEX = "index.json"


def evaluate_predictions(folder, output_dir, options):
    """Evaluate all predictions of a folder; results and card go to ``output_dir``/inference.

    Args:
        folder (str): of the predictions on one data set, or OUTPUT_DIR of the evaluation that has
            saved them.
        output_dir (str): OUTPUT_DIR of this one.
        options (SemSegOptions): what to measure.

    Raises:
        UserError: there are no predictions, some are broken or do not fit their data set, or the
            results of the evaluation that saved them would be overwritten.
    """
    folders = find_predictions(folder)
    target = Path(output_dir) / "inference"
    if any(target.resolve() in found.resolve().parents for found in folders):
        raise UserError(
            f"{target} has the results of the evaluation that saved {folders[0]}: give another "
            "folder with --output"
        )
    evaluated = [_evaluate(found, target, options) for found in folders]
    write_results(target, {item.dataset: {item.kind: item.metrics} for item in evaluated})
    digests = [file_sha256(found / _INDEX) for found in folders]  # which have the images' digests
    weights = {"source": f"predictions {folder}", "file_sha256": None}
    weights["sha256"] = value_sha256(digests)
    write_card(target, evaluated, largest_memory(), weights)


def find_predictions(folder):
    """Folders of predictions at ``folder``, sorted: itself, or those of an evaluation.

    Raises:
        UserError: there are none.
    """
    folder = Path(folder)
    patterns = (_INDEX, f"*/predictions/{_INDEX}", f"inference/*/predictions/{_INDEX}")
    for pattern in patterns:
        if found := sorted(path.parent for path in folder.glob(pattern)):
            return found
    raise UserError(
        f"--predictions {folder}: there is no {' or '.join(patterns)}; evaluations write them with "
        "TEST.SAVE_PREDICTIONS True"
    )


def _evaluate(folder, target, options):
    """Evaluate the predictions on one data set -> Evaluated."""
    start = time.perf_counter()
    output_dir = target / _own_folder(folder)
    name, results = evaluate_saved(folder, output_dir, options)
    seconds = time.perf_counter() - start
    ((kind, metrics),) = results.items()
    report = json.loads((output_dir / "sem_seg_evaluation.json").read_text(encoding="utf-8"))
    return Evaluated(name, kind, metrics, report["images"], seconds, output_dir)


def _own_folder(folder):
    """Folder of the reports of the predictions in ``folder``, <data set>/predictions."""
    return folder.parent.name if folder.name == "predictions" else folder.name
