"""The result of a check in words, for a terminal."""

import numpy as np

from .files import BUILTIN

_SHOWN = 5  # problems and classes that are named, unless all fit


def describe(report):
    """Lines on what is there, how much of it counts, and what is wrong -> str."""
    if report.tally is None:
        return f"{report.name}: missing\n  {report.inventory.problems[0]}"
    tally, found = report.tally, len(report.inventory.records)
    expected = " or ".join(map(str, report.inventory.expected))
    present = int((tally.images > 0).sum())
    lines = [
        f"{report.name}: {_count(len(report.problems), 'problem')}",
        f"  images   {found}" + (f" (complete: {expected})" if expected else "")
        + (f", {tally.num_checked} of them opened" if tally.num_checked < found else ""),
        f"  ignored  {tally.ignored_share:.1%} of the pixels"
        + (f"; {_count(tally.num_empty, 'image')} without any other" if tally.num_empty else ""),
        f"  classes  {present} of {len(report.class_names)} present; of the pixels that count: "
        f"{_largest(report)}",
    ]  # fmt: skip
    if absent := never_present(report):
        lines.append(f"  absent   {_enumerate(absent, 3 * _SHOWN)}")
    lines += [f"  problem  {problem}" for problem in report.problems[:_SHOWN]]
    if len(report.problems) > _SHOWN:
        lines.append(f"  and {len(report.problems) - _SHOWN} more problems; --output lists all")
    return "\n".join(lines)


def never_present(report):
    """Names of the classes that no image shows."""
    return [report.class_names[i] for i in np.flatnonzero(report.tally.images == 0)]


def next_steps(report):
    """What to do about a data set, one line."""
    name = report.name
    if report.tally is None or report.inventory.problems:
        return f"{name}: {BUILTIN[name].how_to_get if name in BUILTIN else 'do as it says above'}"
    if report.problems:
        return f"{name}: mend or remove the files named above, then check again"
    return f"{name}: fine; `san evaluate --weights WEIGHTS --datasets {name}` evaluates on it"


def _largest(report):
    shares = report.tally.shares
    order = [i for i in np.argsort(-shares, kind="stable")[:_SHOWN] if shares[i] > 0]
    return ", ".join(f"{report.class_names[i]} {shares[i]:.1%}" for i in order) or "none"


def _enumerate(names, most):
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _count(number, noun):
    return f"no {noun}s" if number == 0 else f"{number} {noun}{'s' if number > 1 else ''}"
