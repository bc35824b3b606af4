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
        f"  labels   {label_range(report)}",
    ]  # fmt: skip
    if absent := never_present(report):
        absent = [_first_name(name) for name in absent]
        lines.append(f"  absent   {_enumerate(absent, 3 * _SHOWN)}")
    lines += [f"  problem  {problem}" for problem in report.problems[:_SHOWN]]
    if len(report.problems) > _SHOWN:
        lines.append(f"  and {len(report.problems) - _SHOWN} more problems; --output lists all")
    return "\n".join(lines)


def label_range(report):
    """The smallest and largest class id that occur, and what may occur, in words."""
    present = np.flatnonzero(report.tally.images)
    found = f"{present[0]} to {present[-1]}" if len(present) else "none"
    last = len(report.class_names) - 1
    return f"{found} (classes are 0 to {last}; {report.ignore_label} does not count)"


def never_present(report):
    """Names of the classes that no image shows."""
    return [report.class_names[i] for i in np.flatnonzero(report.tally.images == 0)]


def next_steps(reports):
    """What to do, one line for all data sets that the same helps -> list[str]."""
    names = {}
    for report in reports:
        names.setdefault(_next_step(report), []).append(report.name)
    return [f"{', '.join(found)}: {step.format(' '.join(found))}" for step, found in names.items()]


def _next_step(report):
    """What to do about a data set; {} stands for its name."""
    if report.tally is None or report.inventory.problems:
        name = report.name
        return BUILTIN[name].how_to_get if name in BUILTIN else "do as it says above"
    if report.problems:
        return "mend or remove the files named above, then check again"
    return "fine; to evaluate: `san evaluate --weights WEIGHTS --datasets {}`"


def _largest(report):
    shares = report.tally.shares
    order = [i for i in np.argsort(-shares, kind="stable")[:_SHOWN] if shares[i] > 0]
    names = [_first_name(name) for name in report.class_names]
    return ", ".join(f"{names[i]} {shares[i]:.1%}" for i in order) or "none"


def _first_name(name):
    """Of ADE20K's "building, edifice" the first."""
    return name.split(",")[0].strip()


def _enumerate(names, most):
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _count(number, noun):
    return f"no {noun}s" if number == 0 else f"{number} {noun}{'s' if number > 1 else ''}"
