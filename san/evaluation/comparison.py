"""Do two evaluations differ, and by more than noise?

The noise of a figure is an interval of the difference; a difference is real where 0 lies outside.
In the order of preference:

    paired      percentiles of B - A over the bootstrap replicates, which have drawn the same images
                in both cards (`san.evaluation.bootstrap`): what both models find hard cancels out
    intervals   B - A, plus and minus the root of the sum of squares of half the 95 % intervals
    tolerance   B - A, plus and minus a number of points that the user thinks nothing of
"""

import math
from typing import NamedTuple

import numpy as np

from san.errors import UserError

from .bootstrap import confidence_interval

TOLERANCE = 0.1  # points of percent
_LOW, _HIGH = "_ci95_low", "_ci95_high"  # what the ends of a metric's interval add to its name


class Row(NamedTuple):
    """One metric of one data set in two cards, in percent; None: no number, as of no seen class.

    ``low`` and ``high`` are the interval of ``difference``, ``noise`` how it was found ("paired",
    "intervals" or "tolerance"), ``differs`` whether 0 is outside.
    """

    dataset: str
    metric: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    noise: str | None
    differs: bool


def compare(a, b, tolerance=TOLERANCE):
    """Compare the figures of two cards.

    Args:
        a, b (dict): of `san.evaluation.card.read_card`.
        tolerance (float): points of percent, for figures without an interval.

    Returns:
        list[Row]: of the metrics that both have, on the data sets that both have.

    Raises:
        UserError: they have no data set in common, or one with results of another kind.
    """
    common = [name for name in a["results"] if name in b["results"]]
    if not common:
        raise UserError(
            f"the cards have no data set in common: one has {', '.join(a['results'])}, the other "
            f"{', '.join(b['results'])}; evaluate both on the same (--datasets)"
        )
    return [row for name in common for row in _compare_dataset(name, a, b, tolerance)]


def _compare_dataset(name, a, b, tolerance):
    results = a["results"][name], b["results"][name]
    kinds = [result["kind"] for result in results]
    if kinds[0] != kinds[1]:
        raise UserError(
            f"'{name}' has results of the kind {kinds[0]} in one card and {kinds[1]} in the other, "
            "which cannot be compared"
        )
    metrics = [result["metrics"] for result in results]
    names = [key for key in metrics[0] if key in metrics[1] and not key.endswith((_LOW, _HIGH))]
    replicates = _paired_replicates(name, a, b)
    return [_compare_metric(name, key, *metrics, replicates.get(key), tolerance) for key in names]


def _paired_replicates(name, a, b):
    """{metric: (2, R) replicates} where both cards have them, drawn from the same images."""
    found = [card["bootstrap"].get(name) for card in (a, b)]
    images = [card["results"][name]["images"] for card in (a, b)]
    if None in found or images[0] != images[1] or found[0]["seed"] != found[1]["seed"]:
        return {}
    pairs = {key: (found[0][key], found[1][key]) for key in found[0] if key in found[1]}
    return {
        key: np.array(pair, dtype=float)
        for key, pair in pairs.items()
        if isinstance(pair[0], list) and len(pair[0]) == len(pair[1])
    }


def _compare_metric(name, key, a, b, replicates, tolerance):
    values = a[key], b[key]
    if None in values:
        return Row(name, key, *values, None, None, None, None, values[0] != values[1])
    difference = values[1] - values[0]
    low, high, noise = _interval(difference, key, a, b, replicates, tolerance)
    return Row(name, key, *values, difference, low, high, noise, not low <= 0 <= high)


def _interval(difference, key, a, b, replicates, tolerance):
    """Interval of the difference B - A, and how it was found."""
    if replicates is not None:
        low, high = confidence_interval(replicates[1] - replicates[0])
        if not math.isnan(low):
            return low, high, "paired"
    ends = [metrics.get(key + end) for metrics in (a, b) for end in (_LOW, _HIGH)]
    if None not in ends:
        half = math.hypot(ends[1] - ends[0], ends[3] - ends[2]) / 2
        return difference - half, difference + half, "intervals"
    # the sum of two binary fractions: 10.1 is within 0.1 of 10.0
    half = tolerance + 1e-9
    return difference - half, difference + half, "tolerance"


def find_warnings(a, b):
    """Why the figures of two cards may not be comparable -> list[str], empty: they are."""
    found = []
    for name in {**a["results"], **b["results"]}:
        results = a["results"].get(name), b["results"].get(name)
        if None in results:
            found.append(f"{name} is only in {'B' if results[0] is None else 'A'}")
            continue
        found += [
            f"{name}: {what} {_text(values[0])} in A, {_text(values[1])} in B"
            for what in ("images", "protocol", "vocabulary")
            if (values := [result[what] for result in results])[0] != values[1]
        ]
        metrics = [result["metrics"] for result in results]
        for card, here, there in (("A", *metrics), ("B", *reversed(metrics))):
            if only := [key for key in here if key not in there]:
                found.append(f"{name}: {', '.join(only)} only in {card}")
    if a["model"] != b["model"]:
        found.append(f"model {_text(a['model'])} in A, {_text(b['model'])} in B")
    if a["config"] and b["config"]:
        lines = _changes(a["config"]["values"], b["config"]["values"])
        found += [f"config {line}" for line in lines]
    return found


def find_notes(a, b):
    """What else differs -> list[str]: weights, code, versions, machine."""
    parts = ("weights", "code", "versions", "machine")
    return [f"{part} {line}" for part in parts for line in _changes(a[part] or {}, b[part] or {})]


def _changes(a, b):
    return [
        f"{key}: {_text(a.get(key))} in A, {_text(b.get(key))} in B"
        for key in {**a, **b}
        if a.get(key) != b.get(key)
    ]


def _text(value):
    """A value of a card in a few characters."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, str) and len(value) == 64:  # a digest
        return value[:12]
    return "none" if value is None else str(value)
