"""Records of COCO's JSON files: https://cocodataset.org/#format-data.

Panoptic files name the segments of PNGs; instance files hold polygons and run-length masks. The
records have what the readers of `coco_readers` make label maps from.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from san.errors import UserError

from .pairing import UnpairedError

_SHOWN = 3  # files that a message names


@dataclass(frozen=True)
class CocoFile:
    """What a COCO JSON file holds.

    Attributes:
        path: of the file.
        images: {image id: entry}, in the file's order.
        annotations: list of entries, each of a panoptic PNG or of one instance.
        categories: {category id: name}, sorted by id.
        is_panoptic: whether annotations are of PNGs.
    """

    path: Path
    images: dict
    annotations: list
    categories: dict
    is_panoptic: bool


def read_coco(path):
    """Read a COCO JSON file of instances or panoptic segments.

    Raises:
        UserError: the file is missing or of another form.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        images = {image["id"]: image for image in data["images"]}
        categories = {c["id"]: c["name"] for c in data["categories"]}
        annotations = list(data["annotations"])
        is_panoptic = any("segments_info" in annotation for annotation in annotations)
        for annotation in annotations:
            annotation["image_id"], annotation["segments_info" if is_panoptic else "category_id"]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): check the path") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else error
        raise UserError(
            f"{path}: not a COCO file of instances or panoptic segments ({reason}); it needs "
            "images, annotations and categories as https://cocodataset.org/#format-data says"
        ) from None
    categories = dict(sorted(categories.items()))
    return CocoFile(Path(path), images, annotations, categories, is_panoptic)


def panoptic_records(coco, class_ids, image_dir, label_dir, names=None):
    """Records of a panoptic file, one per annotated image.

    Args:
        coco (CocoFile)
        class_ids: {category id: class id}; others do not count.
        image_dir, label_dir (Path): folders of the images and the PNGs.
        names (set[str] | None): images that count, by their names without suffix.
    Returns:
        list of {"file_name", "sem_seg_file_name", "segments": {segment id: class id}}.
    Raises:
        UserError: unknown ids; UnpairedError: files are missing.
    """
    records = []
    for annotation in coco.annotations:
        image = _image_of(coco, annotation)
        if _counts(image, names):
            segments = {
                segment["id"]: _class_of(coco, segment, class_ids)
                for segment in annotation["segments_info"]
            }
            records.append(
                {
                    "file_name": str(image_dir / image["file_name"]),
                    "sem_seg_file_name": str(label_dir / annotation["file_name"]),
                    "segments": segments,
                }
            )
    return _existing(coco, records, names)


def instance_records(coco, class_ids, image_dir, names=None, keep_empty=False):
    """Records of a file of instances.

    Args:
        coco, class_ids, image_dir, names: as for `panoptic_records`.
        keep_empty (bool): keep images without an annotation.
    Returns:
        list of {"file_name", "sem_seg_file_name": path of the JSON, "label_size": (H, W),
        "segments": list of {"id", "class", "crowd": bool, "segmentation"}}.
    Raises:
        UserError: unknown ids; UnpairedError: images are missing.
    """
    segments = {image_id: [] for image_id in coco.images}
    for annotation in coco.annotations:
        _image_of(coco, annotation)
        segments[annotation["image_id"]].append(
            {
                "id": annotation.get("id"),
                "class": _class_of(coco, annotation, class_ids),
                "crowd": bool(annotation.get("iscrowd")),
                "segmentation": annotation.get("segmentation"),
            }
        )
    records = [
        {
            "file_name": str(image_dir / image["file_name"]),
            "sem_seg_file_name": str(coco.path),
            "label_size": (image["height"], image["width"]),
            "segments": segments[image_id],
        }
        for image_id, image in coco.images.items()
        if (keep_empty or segments[image_id]) and _counts(image, names)
    ]
    return _existing(coco, records, names)


def _image_of(coco, annotation):
    try:
        return coco.images[annotation["image_id"]]
    except KeyError:
        raise UserError(
            f"{coco.path}: annotation {annotation.get('id', annotation.get('file_name'))} is of "
            f"image {annotation['image_id']}, which `images` does not list; add or remove it"
        ) from None


def _class_of(coco, segment, class_ids):
    """Class id of a segment, None where its category is not among the classes."""
    category = segment.get("category_id")
    if category not in coco.categories:
        raise UserError(
            f"{coco.path}: segment {segment.get('id')} has the category {category}, which "
            "`categories` does not list; add it there or remove the segment"
        )
    return class_ids.get(category)


def _counts(image, names):
    return names is None or str(Path(image["file_name"]).with_suffix("")) in names


def _existing(coco, records, names):
    """The records, if all their files are there."""
    missing, present = [], []
    for record in records:
        lacking = [f for f in _files(record) if not Path(f).is_file()]
        missing += lacking
        if not lacking:
            present.append(record)
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise UnpairedError(
            f"{coco.path}: {len(missing)} of its files are missing ({shown}); write a data set "
            "file with `images` and `annotations` (docs/own_data.md), or add the files",
            present,
        )
    if not records:
        among = "" if names is None else " among those that `names` lists"
        raise UserError(f"{coco.path}: there is not one annotated image in it{among}")
    return records


def _files(record):
    return record["file_name"], record["sem_seg_file_name"]
