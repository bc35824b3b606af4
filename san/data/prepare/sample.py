"""One image and its label map: from their sources to their places, each whole or not at all."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from san.errors import UserError
from san.files import atomic_path

from .blob import Blob
from .label_maps import SourceError

MADE, KEPT, LEFT_OUT = "made", "kept", "left out"
_ENDS = {".jpg": b"\xff\xd9", ".png": b"\0\0\0\0IEND\xaeB`\x82"}  # last bytes of whole files
_STRIP_OFFSETS, _STRIP_SIZES = 273, 279  # TIFF tags


def check_image(data):
    """Bytes of an image, unchanged; Pillow's errors if they cannot be decoded to the end."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft(image.mode, (1, 1))  # of a JPEG the smallest version: much less work
        image.load()
    return data


@dataclass(frozen=True)
class Sample:
    """What is to be made of one image.

    Attributes:
        image, label: sources.
        image_path, label_path: targets; an image may lie in its place already.
        make_image: bytes -> bytes; `check_image` copies.
        make_label: bytes -> bytes, or None to leave the sample out.
    """

    image: Blob
    label: Blob
    image_path: Path
    label_path: Path
    make_image: Callable
    make_label: Callable

    def run(self):
        """Make what is not there yet -> MADE, KEPT or LEFT_OUT.

        Raises:
            UserError: a source is damaged or holds what it should not, or a target cannot be
                written; names the file.
        """
        has_image = self._has_image()
        if has_image and _is_whole(self.label_path) and self._sizes_agree():
            return KEPT
        image = _convert(self.image, self.make_image)
        label = _convert(self.label, self.make_label)
        if label is None:
            return LEFT_OUT
        self._check_sizes(image, label)
        if not has_image:
            _write(self.image_path, image)
        _write(self.label_path, label)
        return MADE

    def _has_image(self):
        if self.make_image is check_image:
            return _size_on_disk(self.image_path) == self.image.size
        return _is_whole(self.image_path)

    def _sizes_agree(self):
        try:
            with Image.open(self.image_path) as image, Image.open(self.label_path) as label:
                return image.size == label.size
        except (OSError, SyntaxError):  # Pillow's, on a damaged file
            return False

    def _check_sizes(self, image, label):
        with Image.open(io.BytesIO(image)) as of_image, Image.open(io.BytesIO(label)) as of_label:
            (width, height), size = of_image.size, of_label.size
        if (width, height) != size:
            raise UserError(
                f"{self.label}: the label map has {size[0]} x {size[1]} pixels and its image "
                f"{self.image} {width} x {height}: one of them is not the published file; "
                f"{self.label.remedy}"
            )


def _convert(blob, make):
    try:
        return make(blob.read())
    except SourceError as error:
        raise UserError(f"{blob}: {error}; {blob.remedy}") from error
    except UserError:
        raise
    except Exception as error:  # Pillow's and SciPy's readers raise many types on a damaged file
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{blob}: cannot read ({problem}); {blob.remedy}") from error


def _write(path, data):
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _size_on_disk(path):
    try:
        return path.stat().st_size
    except OSError:
        return None


def _is_whole(path):
    """True if a JPEG, PNG or TIFF file is there to its end; decodes nothing."""
    try:
        if path.suffix == ".tif":
            with Image.open(path) as image:
                offsets, sizes = (image.tag_v2[tag] for tag in (_STRIP_OFFSETS, _STRIP_SIZES))
            return max(map(sum, zip(offsets, sizes, strict=True))) <= path.stat().st_size
        end = _ENDS[path.suffix]
        with open(path, "rb") as file:
            file.seek(-len(end), os.SEEK_END)
            return file.read() == end
    except (OSError, SyntaxError, KeyError):  # no such file, or cut off
        return False
