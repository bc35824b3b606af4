"""What a data set should hold, and what is there."""

import json
from dataclasses import dataclass

from detectron2.data import DatasetCatalog

from san.data.datasets import DATASETS, SHAPESCENES, datasets_root
from san.data.datasets.pairing import UnpairedError
from san.data.shapescenes.prepare import count_images
from san.errors import UserError

BUILTIN = {**DATASETS, **SHAPESCENES}


@dataclass(frozen=True)
class Inventory:
    """The files of a data set.

    Attributes:
        records: of the images that have a label map; None where the data set is not there.
        problems: what is missing, one message each.
        expected: numbers of images, any of which is right; empty where none is known.
    """

    records: list | None
    problems: tuple[str, ...]
    expected: tuple[int, ...]


def take_inventory(name, subset=False):
    """List the files of a registered data set, without opening them -> Inventory.

    Args:
        name (str): registered name.
        subset (bool): fewer images than published are no problem.
    """
    try:
        records, problems = DatasetCatalog.get(name), []
    except UnpairedError as error:
        records, problems = error.records, [str(error)]
    except UserError as error:
        return Inventory(None, (str(error),), ())
    expected = expected_counts(name)
    if expected and not subset and len(records) not in expected:
        right = " or ".join(map(str, expected))
        problems.append(
            f"{len(records)} images with a label map, but the complete data set has {right}; to "
            f"add what is missing, {BUILTIN[name].how_to_get} (--subset: this is on purpose)"
        )
    return Inventory(records, tuple(problems), expected)


def expected_counts(name):
    """Numbers of images of a complete data set, more than one where there are several editions.

    They are those published; of ShapeScenes, those at the scale that it was drawn at.
    """
    if name in SHAPESCENES:
        path = datasets_root() / "shapescenes" / "classes.json"
        try:
            scale = json.loads(path.read_text(encoding="utf-8"))["made_with"]["scale"]
        except (OSError, ValueError, KeyError, TypeError):
            return ()  # drawn by hand, or of an unfinished run
        return (count_images(scale)[name.removeprefix("shapescenes_")],)
    return DATASETS[name].num_images if name in DATASETS else ()
