"""From the bytes of a published label map to the bytes of one with training ids."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from san.errors import UserError

_SHOWN = 10  # unknown values that a message names


class SourceError(UserError):
    """What is wrong with a source file; the frame adds its name."""


def read_ids(data):
    """Decode a label image -> (H, W) integers: palette indices, or grey of 8 or 16 bits.

    Raises:
        SourceError: another kind of image. Pillow's errors where it is damaged.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.mode not in ("P", "L", "I;16", "I;16B", "I"):
            raise SourceError(
                f"Pillow mode '{image.mode}' and not a label map of one channel; it was changed "
                "after the download"
            )
        return np.asarray(image)


def make_table(raw_ids, others, size=256):
    """Lookup table from published to training ids.

    Args:
        raw_ids (list[int]): published id of each class.
        others (dict[int, int]): training ids of further published ids, such as "unlabeled".
        size (int): one more than the largest published id that a file can hold.
    Returns:
        (size,) int64, -1 for unknown values.
    """
    table = np.full(size, -1)
    table[raw_ids] = np.arange(len(raw_ids))
    for raw, train_id in others.items():
        table[raw] = train_id
    return table


@dataclass(frozen=True)
class LabelMaker:
    """Callable bytes -> bytes | None: makes the label map of one image.

    Attributes:
        table: see `make_table`; its size bounds the published ids.
        decode: bytes -> (H, W) integers.
        kind: "PNG" (8 bit) or "TIFF" (16 bit).
        empty: where every pixel has this id the image is left out (None); None keeps all.
    """

    table: np.ndarray
    decode: Callable = read_ids
    kind: str = "PNG"
    empty: int | None = None

    def __call__(self, data):
        ids = self.decode(data)  # (H, W)
        labels = np.take(self.table, ids, mode="clip")  # (H, W)
        unknown = (labels < 0) | (ids < 0) | (ids >= len(self.table))
        if unknown.any():
            values = np.unique(ids[unknown])
            shown = ", ".join(map(str, values[:_SHOWN])) + (", ..." if len(values) > _SHOWN else "")
            raise SourceError(f"unknown pixel values {shown}: labels outside the class list")
        if self.empty is not None and (labels == self.empty).all():
            return None
        return encode(labels, self.kind)


def encode(labels, kind):
    """(H, W) ids -> bytes of an 8-bit PNG or a 16-bit TIFF."""
    file = io.BytesIO()
    if kind == "PNG":
        Image.fromarray(labels.astype(np.uint8)).save(file, "PNG")
    else:
        image = Image.fromarray(labels.astype(np.uint16))
        image.save(file, "TIFF", compression="tiff_adobe_deflate")
    return file.getvalue()
