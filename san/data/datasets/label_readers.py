"""Turn label maps of other forms into class ids, one reader per form.

A reader is the ``label_reader`` of a data set's metadata: record -> (H, W) int64 of positions in
the class list, and `ignore_id` where a pixel does not count. Readers are plain values, so that a
loader's worker processes can be given them.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from san.errors import UserError

from .files import load_label_map

_SHOWN = 3  # values that a message names


def ignore_id(num_classes):
    """The id of ignored pixels beside ``num_classes`` class ids: 255, or 65535 if that is taken."""
    return 255 if num_classes <= 255 else 65535


@dataclass(frozen=True)
class IdReader:
    """Label maps of one channel whose pixels are numbers of the user's own.

    Attributes:
        ids: {pixel value: class id or `ignore_id`}.
        source: file that lists the values, for messages.
    """

    ids: dict[int, int]
    source: str

    def __call__(self, record):
        path = record["sem_seg_file_name"]
        pixels = load_label_map(path)  # (H, W)
        labels = look_up(pixels, self.ids)
        if labels.min() < 0:
            raise UserError(
                f"{path}: unknown values in the label map: {share_of(pixels, labels < 0)}; known "
                f"are {_listed(self.ids)}: in {self.source}, give the value a class in `classes`, "
                "or add it to `ignore_label`"
            )
        return labels


@dataclass(frozen=True)
class ColorReader:
    """Label maps that are pictures: every class has a color.

    Attributes:
        ids: {red * 65536 + green * 256 + blue: class id or `ignore_id`}.
        source: file that lists the colors, for messages.
    """

    ids: dict[int, int]
    source: str

    def __call__(self, record):
        path = record["sem_seg_file_name"]
        pixels = read_rgb(path) @ np.array([65536, 256, 1])  # (H, W)
        labels = look_up(pixels, self.ids)
        if labels.min() < 0:
            shown = share_of(pixels, labels < 0, "#{:06x}".format)
            raise UserError(
                f"{path}: unknown colors in the label map: {shown}; add the color to `palette` or "
                f"to `ignore_color` in {self.source}. Many colors near those of the classes mean "
                "that the file was resized or saved as JPEG: save it as PNG, without smoothing"
            )
        return labels


def read_rgb(path):
    """(H, W, 3) uint8 of a picture, its transparency left out.

    Raises:
        UserError: the file is missing or damaged, or has more than 8 bits per channel.
    """
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow's readers raise many types on a damaged file
        raise UserError(
            f"{path}: cannot read this label map ({error or type(error).__name__}); "
            "restore the file or remove it with its image"
        ) from error
    if mode not in ("RGB", "RGBA", "P", "L"):
        raise UserError(
            f"{path}: a colored label map has 8 bits of red, green and blue, but this file has "
            f"Pillow mode '{mode}'; save it as an RGB PNG"
        )
    return pixels


def look_up(pixels, ids):
    """Translate every pixel -> (H, W) int64, -1 where its value is not known.

    Args:
        pixels: (H, W) integers.
        ids: {value: id}, at least one.
    """
    values = np.array(sorted(ids), np.int64)
    targets = np.array([ids[value] for value in values.tolist()], np.int64)
    place = np.searchsorted(values, pixels).clip(max=len(values) - 1)  # (H, W)
    return np.where(values[place] == pixels, targets[place], -1)


def share_of(pixels, chosen, name=str):
    """Name the chosen pixels' values and their share of all, the most frequent first -> str."""
    values, counts = np.unique(pixels[chosen], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    shown = [f"{name(int(values[i]))} ({counts[i] / pixels.size:.2%} of the pixels)" for i in order]
    more = [f"and {len(values) - _SHOWN} more"] if len(values) > _SHOWN else []
    return ", ".join([*shown, *more])


def _listed(values):
    """The numbers in words, a long list cut."""
    values = sorted(values)
    shown = ", ".join(map(str, values[:10]))
    return f"{shown}, ... {values[-1]}" if len(values) > 10 else shown
