"""Label maps from the records of `coco_json`, one reader per kind of file.

The pixels of a panoptic PNG are R + 256 G + 65536 B.
"""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from san.errors import UserError

from .label_readers import ignore_id, look_up, read_rgb, share_of


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
