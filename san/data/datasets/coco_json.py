"""Label maps from COCO's JSON files: https://cocodataset.org/#format-data.

Panoptic files name the segments of PNGs whose pixels are R + 256 G + 65536 B; instance files hold
polygons and run-length masks. Both become label maps of class ids as they are read.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from san.errors import UserError

from .label_readers import ignore_id, look_up, read_rgb, share_of
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


@dataclass(frozen=True)
class PanopticReader:
    """Label map of a panoptic PNG; void (id 0) does not count.

    Attributes:
        num_classes: of the data set.
    """

    num_classes: int

    def __call__(self, record):
        path = record["sem_seg_file_name"]
        pixels = read_rgb(path) @ np.array([1, 256, 65536])  # (H, W)
        ids = {segment: self._id(c) for segment, c in record["segments"].items()}
        labels = look_up(pixels, {0: self._id(None), **ids})
        if labels.min() < 0:
            raise UserError(
                f"{path}: segments that the JSON file does not list: "
                f"{share_of(pixels, labels < 0)}; take both from the same release"
            )
        return labels

    def _id(self, class_id):
        return ignore_id(self.num_classes) if class_id is None else class_id


@dataclass(frozen=True)
class InstanceReader:
    """Label map of an image's instances: the smaller lies on the larger, crowds lie below all.

    Attributes:
        num_classes: of the data set.
        background: class id of pixels in no instance; None: they do not count.
    """

    num_classes: int
    background: int | None = None

    def __call__(self, record):
        ignored = ignore_id(self.num_classes)
        empty = ignored if self.background is None else self.background
        labels = np.full(record["label_size"], empty, np.int64)  # (H, W)
        masks = [(_encode(segment, record), segment) for segment in record["segments"]]
        masks.sort(key=lambda item: (not item[1]["crowd"], -int(coco_mask.area(item[0]))))
        for rle, segment in masks:
            class_id = ignored if segment["class"] is None else segment["class"]
            labels[coco_mask.decode(rle).astype(bool)] = class_id
        return labels


def _encode(segment, record):
    """Polygons or a run-length mask -> compressed run-length mask of the image's size."""
    shape, (height, width) = segment["segmentation"], record["label_size"]
    try:
        if isinstance(shape, list):
            if not shape or any(len(polygon) < 6 or len(polygon) % 2 for polygon in shape):
                raise ValueError("a polygon needs three points or more, x and y of each")
            return coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
        if not isinstance(shape, dict):
            raise ValueError("it has neither polygons nor a mask, perhaps only a box")
        if list(shape["size"]) != [height, width]:
            raise ValueError(f"its mask is of {shape['size']}, the image of {[height, width]}")
        if isinstance(shape["counts"], list):
            return coco_mask.frPyObjects(shape, height, width)
        return {"size": shape["size"], "counts": shape["counts"].encode()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{record['sem_seg_file_name']}: annotation {segment['id']}, of image "
            f"{record['file_name']}, has no usable segmentation ({error}); mend or remove it"
        ) from None


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
