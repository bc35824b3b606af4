"""Class names of the built-in data sets, one text file each.

A line is one class, in the order of its training id: the name verbatim, and, where the raw
annotation numbers its classes differently, a tab and the raw id (COCO-Stuff: COCO id;
Pascal Context 59 and 60: id among the 459; ADE20K 847: ADE20K class id; Cityscapes: label id).
"""

from pathlib import Path


def read_categories(name):
    """Read ``NAME.txt`` of this folder.

    Returns:
        names (list[str]): class names; the position is the training id.
        raw_ids (list[int] | None): raw annotation ids in the same order, None where the file
            has no second column.
    """
    text = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8")
    columns = list(zip(*(line.split("\t") for line in text.splitlines()), strict=True))
    return list(columns[0]), [int(raw) for raw in columns[1]] if len(columns) > 1 else None
