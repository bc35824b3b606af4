"""Figures that weights are expected to give, and whether an evaluation gives them.

A file of expected figures is JSON:

    format       FORMAT
    weights      what was evaluated, as san://NAME
    file_sha256  digest of the file of weights; null: of none
    origin       where the figures are from
    tolerance    points of percent by which a figure may be off
    results      data set -> {kind, images, metrics}

Those of published weights are in expected/, under the weights' names.
"""

import json
from pathlib import Path
from typing import NamedTuple

from san.errors import UserError
from san.files import write_json

FORMAT = "san expected figures 1"
# In points: another GPU, thread count or library version moves the labels of a few pixels
TOLERANCE = 0.1
_KEYS = ("weights", "file_sha256", "origin", "tolerance", "results")
_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "expected", _PACKAGE.parent / "expected")  # of a wheel, of a checkout


class Line(NamedTuple):
    """One figure of an evaluation beside the expected one."""

    dataset: str
    metric: str
    expected: float  # percent
    actual: float | None  # percent; None: not there, or not a number
    ok: bool


def find_expected(name):
    """Path of a file of expected figures, by its path or by the name of published weights.

    Raises:
        UserError: there is none.
    """
    stem = str(name).removeprefix("san://")
    candidates = [Path(name), *(folder / f"{stem}.json" for folder in _FOLDERS)]
    for path in candidates:
        if path.is_file() and path.suffix == ".json":
            return path
    names = sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.json")})
    raise UserError(
        f"there are no expected figures of {str(name)!r}, only of {', '.join(names)}: name a file "
        "with --expected FILE, which --write-expected FILE writes"
    )


def read_expected(path):
    """Expected figures of a file -> dict, see the top of this module.

    Raises:
        UserError: the file does not have them.
    """
    try:
        expected = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"expected figures {path} cannot be read: {error}") from error
    if not isinstance(expected, dict) or expected.get("format") != FORMAT:
        raise UserError(
            f"{path} is not a file of expected figures ({FORMAT!r} is missing in it): "
            "--write-expected FILE writes one"
        )
    missing = [key for key in _KEYS if key not in expected]
    if missing:
        raise UserError(f"expected figures {path}: {', '.join(missing)} is missing; write it anew")
    return expected


def write_expected(path, card):
    """Write the figures of a card as those to expect from its weights."""
    weights = card["weights"] or {}
    results = {
        name: {
            "kind": result["kind"],
            "images": result["images"],
            "metrics": {k: v for k, v in result["metrics"].items() if v is not None},
        }
        for name, result in card["results"].items()
    }
    code = card["code"]
    expected = {
        "format": FORMAT,
        "weights": weights.get("source"),
        "file_sha256": weights.get("file_sha256"),
        "origin": f"san {code['san']}, revision {code['revision'] or 'unknown'}",
        "tolerance": TOLERANCE,
        "results": results,
    }
    write_json(path, expected)


def verify(card, expected):
    """Compare a card with expected figures.

    Args:
        card (dict): of `san.evaluation.card.read_card`.
        expected (dict): of `read_expected`.

    Returns:
        list[Line]: every expected figure of the data sets that the card has.

    Raises:
        UserError: no data set of the card has expected figures.
    """
    common = [name for name in card["results"] if name in expected["results"]]
    if not common:
        raise UserError(
            f"no figures are expected for {', '.join(card['results'])}, only for "
            f"{', '.join(expected['results'])}: evaluate on those (--datasets), or name another "
            "file with --expected"
        )
    return [
        _line(name, metric, value, card["results"][name]["metrics"], expected["tolerance"])
        for name in common
        for metric, value in expected["results"][name]["metrics"].items()
    ]


def _line(name, metric, expected, metrics, tolerance):
    actual = metrics.get(metric)
    # the sum of two binary fractions: 10.1 is within 0.1 of 10.0
    ok = actual is not None and abs(actual - expected) <= tolerance + 1e-9
    return Line(name, metric, expected, actual, ok)


def explain(card, expected):
    """What tells the evaluation of a card from the expected one -> list[str], empty: nothing."""
    notes = []
    digest = (card["weights"] or {}).get("file_sha256")
    if expected["file_sha256"] and digest != expected["file_sha256"]:
        notes.append(
            f"the figures are of {expected['weights']} (SHA-256 {expected['file_sha256']}), but "
            f"{(card['weights'] or {}).get('source') or 'no file'} was evaluated ({digest})"
        )
    for name, result in card["results"].items():
        images = expected["results"].get(name, result)["images"]
        if result["images"] != images:
            notes.append(f"{name}: {result['images']} images, but the figures are of {images}")
        if name not in expected["results"]:
            notes.append(f"{name}: no figures are expected")
    return notes
