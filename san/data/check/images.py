"""Open one image and its label map, and count what is in them."""

from dataclasses import dataclass, field

import numpy as np

from san.data.dataset_mapper import check_labels
from san.data.datasets import load_labels
from san.errors import UserError
from san.image_io import read_image


@dataclass(frozen=True)
class Content:
    """What one image and its label map hold.

    Attributes:
        problem: why they cannot be used, None where they can; then the rest is set.
        classes, counts: (N,) int64 each, the classes present and their pixels.
        num_ignored, num_pixels (int).
    """

    problem: str | None = None
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    num_ignored: int = 0
    num_pixels: int = 0


def inspect(record, metadata):
    """Decode both files of a record and check that they fit -> Content.

    Args:
        record (dict): of a data set of semantic segmentation.
        metadata: ``stuff_classes``, ``ignore_label`` and, where there is one, ``label_reader``.
    """
    try:
        image_size = read_image(record["file_name"]).shape[:2]
        labels = load_labels(record, metadata)  # (H, W)
        check_labels(record, labels, image_size, metadata)
    except UserError as error:
        return Content(problem=str(error))
    pixels = np.bincount(labels.reshape(-1))  # (largest id + 1,)
    classes = np.flatnonzero(pixels)
    classes = classes[classes != metadata.ignore_label]
    counts = pixels[classes]
    return Content(None, classes, counts, int(labels.size - counts.sum()), labels.size)


class Tally:
    """The sums over all images of a data set.

    Attributes:
        pixels, images: (C,) int64, per class its pixels and the images that show it.
        num_checked, num_ignored, num_pixels, num_empty (int): images looked at; pixels that do not
            count, and all; images of which no pixel counts.
        problems: list of str.
    """

    def __init__(self, num_classes):
        self.pixels = np.zeros(num_classes, np.int64)
        self.images = np.zeros(num_classes, np.int64)
        self.num_checked = self.num_ignored = self.num_pixels = self.num_empty = 0
        self.problems = []

    def add(self, content):
        """Count one image."""
        self.num_checked += 1
        if content.problem is not None:
            self.problems.append(content.problem)
            return
        self.pixels[content.classes] += content.counts
        self.images[content.classes] += 1
        self.num_ignored += content.num_ignored
        self.num_pixels += content.num_pixels
        self.num_empty += not len(content.classes)

    @property
    def ignored_share(self):
        """Share of all pixels that do not count, 0..1."""
        return self.num_ignored / max(self.num_pixels, 1)

    @property
    def shares(self):
        """(C,) share of every class in the pixels that count, 0..1."""
        return self.pixels / max(self.num_pixels - self.num_ignored, 1)
