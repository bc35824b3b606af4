"""What the label maps of each split mean: its vocabulary, and the label of every class in it."""

from dataclasses import dataclass

from .absent_names import ABSENT_COLORS, ABSENT_SHAPES, ABSENT_THINGS
from .classes import CLASSES, COLORS, PATTERNS, SEEN_IDS, SHAPES, STUFF, STUFF_IDS, THING_IDS

IGNORE_LABEL = 255


@dataclass(frozen=True)
class LabelSet:
    """A vocabulary and its label maps.

    Attributes:
        names: class names in the order of their labels.
        seen: for each name, whether masks of it are in the training split; None where names
            cover seen and unseen classes alike.
        labels: {(class id, pattern): label}, what a pixel of that class and pattern gets; one that
            is not in here gets `IGNORE_LABEL`.
    """

    names: tuple[str, ...]
    seen: tuple[bool, ...] | None
    labels: dict[tuple[int, str], int]


def _label_set(name_of, absent=(), with_seen=True):
    """The label set in which ``name_of(class, pattern)`` names every class; None: unlabeled."""
    labels, seen = {}, []
    label_of = {}
    for class_id, c in enumerate(CLASSES):
        for pattern in PATTERNS if c.is_thing else ("plain",):
            name = name_of(c, pattern)
            if name is None:
                continue
            if name not in label_of:
                label_of[name] = len(label_of)
                seen.append(c.seen)
            labels[class_id, pattern] = label_of[name]
    seen += [False] * len(absent)
    return LabelSet((*label_of, *absent), tuple(seen) if with_seen else None, labels)


def _synonym(c):
    """The class' name in other words."""
    if c.is_thing:
        return f"{COLORS[c.color][0]} {SHAPES[c.shape][0]}"
    return STUFF[c.name][0]


def _absent():
    """Names of what is in no image: known words in new combinations, and unknown words."""
    return (
        *(f"{color} {shape}" for shape in ABSENT_SHAPES for color in COLORS),
        *(f"{color} {shape}" for shape in SHAPES for color in ABSENT_COLORS),
        *ABSENT_THINGS,
    )


ALL = _label_set(lambda c, pattern: c.name)
LABEL_SETS = {  # by split
    "train": _label_set(lambda c, pattern: c.name if c.seen else None),
    "val": ALL,
    "synonyms_val": _label_set(lambda c, pattern: _synonym(c)),
    "fine_val": _label_set(lambda c, pattern: f"{pattern} {c.name}" if c.is_thing else c.name),
    "coarse_val": _label_set(lambda c, pattern: c.shape or c.name, with_seen=False),
    "colors_val": _label_set(
        lambda c, pattern: f"{c.color} thing" if c.is_thing else c.name, with_seen=False
    ),
    "shift_val": ALL,
    "many_val": _label_set(lambda c, pattern: c.name, absent=_absent()),
}


def classes_json():
    """What ``classes.json`` holds: the classes and the vocabulary of every split."""
    return {
        "classes": [_describe(class_id) for class_id in (*THING_IDS, *STUFF_IDS)],
        "splits": {
            split: {"ignore_label": IGNORE_LABEL, "names": label_set.names, "seen": label_set.seen}
            for split, label_set in LABEL_SETS.items()
        },
    }


def _describe(class_id):
    c = CLASSES[class_id]
    train_label = SEEN_IDS.index(class_id) if c.seen else None
    return {"id": class_id, **vars(c), "train_label": train_label, "synonym": _synonym(c)}
