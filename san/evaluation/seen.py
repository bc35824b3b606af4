"""Which classes of a data set the training showed, by named lists.

A list is a folder of san/data/datasets/seen with one file for each set of class names. A line is a
class name, and, if the training shows the class, a tab and the name that it has there. In
"coco_stuff", which is about the 171 classes of COCO-Stuff, a class counts as seen if

1. one of its names (ADE20K separates them by commas) is that of a COCO-Stuff class, but for case,
   white space, hyphens, a plural, and COCO-Stuff's endings "-other" and "-stuff", unless the two
   mean different things (ADE20K's "andiron, firedog, dog" is no dog); or
2. one of its names is another word for the same thing or stuff: sofa and couch, plane and airplane.

Kinds, parts and wholes are not the same thing: armchair, wheel and computer are not seen. The
background of a data set is neither seen nor unseen.
"""

from pathlib import Path

import numpy as np

import san.data.datasets
from san.errors import UserError

SEEN, UNSEEN, NEITHER = 1, 0, -1
_FOLDER = Path(san.data.datasets.__file__).parent / "seen"


def seen_groups(metadata, list_name=""):
    """The group of each class: SEEN, UNSEEN or NEITHER.

    Args:
        metadata: of a data set: ``name``, ``stuff_classes``, and maybe ``seen``, per class True,
            False, or None for neither.
        list_name (str): which list; "": the metadata's own. A data set that the list does not know
            keeps its own.

    Returns:
        ndarray | None: (C,) int; None where no list is asked for and there is no own one.

    Raises:
        UserError: no such list, no such list for this data set, or an own one of another length.
    """
    if list_name:
        groups = _look_up(list_name, list(metadata.stuff_classes))
        if groups is not None:
            return groups
    own = metadata.get("seen")
    if own is None and list_name:
        raise UserError(
            f"TEST.SEEN_CLASSES: the list '{list_name}' does not cover the class names of data set "
            f"'{metadata.name}'; give its metadata 'seen', a bool per class, or leave the key empty"
        )
    return None if own is None else _own(metadata, own)


def _own(metadata, own):
    num_classes = len(metadata.stuff_classes)
    if len(own) != num_classes:
        raise UserError(
            f"data set '{metadata.name}': its metadata 'seen' has {len(own)} entries for "
            f"{num_classes} class names; give one bool per class"
        )
    return np.array([NEITHER if flag is None else int(flag) for flag in own])


def _look_up(list_name, class_names):
    """(C,) int of the smallest file that has all class names; None if no file has."""
    names = [name.strip() for name in class_names]
    files = [read_seen_list(path) for path in _files(list_name)]
    files = [matches for matches in files if all(n in matches or _is_rest(n) for n in names)]
    if not files:
        return None
    matches = min(files, key=len)
    return np.array([
        NEITHER if _is_rest(n) and n not in matches else SEEN if matches[n] else UNSEEN
        for n in names
    ])  # fmt: skip


def _is_rest(name):
    return name.lower() == "background"


def _files(list_name):
    files = sorted((_FOLDER / list_name).glob("*.txt"))
    if not files:
        known = ", ".join(sorted(path.name for path in _FOLDER.iterdir() if path.is_dir()))
        raise UserError(f"TEST.SEEN_CLASSES is '{list_name}'; the lists are: {known}")
    return files


def read_seen_list(path):
    """One file of a list -> dict: class name -> name in the training, "" for an unseen class."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {name: match for name, _, match in (line.partition("\t") for line in lines)}
