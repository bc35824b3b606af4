"""Register ShapeScenes, the data set that ``datasets/prepare_shapescenes.py`` draws.

Scenes with label maps register like the published data sets. Beside them there are images with
captions (``shapescenes_captions_*``) and images of one thing (``shapescenes_crops_val``).
"""

import json

from detectron2.data import DatasetCatalog, MetadataCatalog

from san.data.shapescenes.classes import CLASSES, THING_IDS
from san.data.shapescenes.label_sets import IGNORE_LABEL, LABEL_SETS
from san.errors import UserError

from .sem_seg_dataset import ROOT_VARIABLE, SemSegDataset, datasets_root

HOW_TO_GET = "make the data set with `python datasets/prepare_shapescenes.py`"
SHAPESCENES = {
    dataset.name: dataset
    for dataset in (
        SemSegDataset(
            name=f"shapescenes_{split}",
            image_dir=f"shapescenes/images/{split}",
            label_dir=f"shapescenes/labels/{split}",
            categories=None,  # a label set of the generator has them
            ignore_label=IGNORE_LABEL,
            how_to_get=HOW_TO_GET,
        )
        for split in LABEL_SETS
    )
}


def load_captions(split):
    """List the images of "captions_train" or "captions_val" with their captions.

    Returns:
        list of {"file_name": str, "image_id": int, "captions": list[str], "content": str}; images
        of the same content are described by each other's captions too.
    Raises:
        UserError: the data set is missing, incomplete or damaged.
    """
    return [
        {**record, "image_id": index}
        for index, record in enumerate(_read_records("captions.jsonl", split))
    ]


def load_crops(split):
    """List images of one thing.

    Returns:
        list of {"file_name": str, "class": int}, position in the metadata's ``thing_classes``.
    Raises:
        UserError: the data set is missing, incomplete or damaged.
    """
    return _read_records("crops.jsonl", split)


def _read_records(file, split):
    """Records of a JSON Lines file whose images are of the split, with full paths."""
    path = datasets_root() / "shapescenes" / file
    name = f"shapescenes_{split}"
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise UserError(
            f"data set '{name}': {path} does not exist; {HOW_TO_GET} "
            f"(the root is {ROOT_VARIABLE}={datasets_root()})"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"data set '{name}': {path} cannot be read ({error}); {HOW_TO_GET} again"
        ) from error
    present = {image.name for image in (path.parent / "images" / split).glob("[!.]*.jpg")}
    return [
        {**record, "file_name": _existing(name, path.parent / record["file_name"], present)}
        for record in records
        if record["file_name"].startswith(f"images/{split}/")
    ]


def _existing(name, path, present):
    if path.name not in present:
        raise UserError(
            f"data set '{name}': the image {path} is missing; {HOW_TO_GET} again, which adds what "
            "is not there"
        )
    return str(path)


def _register():
    for name, dataset in SHAPESCENES.items():
        label_set = LABEL_SETS[name.removeprefix("shapescenes_")]
        DatasetCatalog.register(name, dataset.load)
        metadata = MetadataCatalog.get(name)
        metadata.set(
            stuff_classes=list(label_set.names),
            ignore_label=dataset.ignore_label,
            evaluator_type="sem_seg",
            image_root=str(datasets_root() / dataset.image_dir),
            sem_seg_root=str(datasets_root() / dataset.label_dir),
        )
        if label_set.seen is not None:
            metadata.seen = list(label_set.seen)
    for split in ("captions_train", "captions_val"):
        DatasetCatalog.register(f"shapescenes_{split}", lambda split=split: load_captions(split))
        MetadataCatalog.get(f"shapescenes_{split}").set(evaluator_type="retrieval")
    things = [CLASSES[class_id] for class_id in THING_IDS]
    DatasetCatalog.register("shapescenes_crops_val", lambda: load_crops("crops_val"))
    MetadataCatalog.get("shapescenes_crops_val").set(
        thing_classes=[c.name for c in things],
        seen=[c.seen for c in things],
        evaluator_type="zero_shot_classification",
    )


_register()
