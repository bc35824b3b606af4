"""Read images and label maps, and name the file when that fails."""

import struct
import zlib

import numpy as np
from detectron2.data import detection_utils
from PIL import Image

from ...errors import UserError

# What Pillow raises for a file that is missing, cut short, corrupt or of absurd size.
_READ_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# One channel of integers: grey 8 bit, palette (its indices), grey 16 bit in either byte order.
_LABEL_MODES = ("L", "P", "I;16", "I;16B", "I")


def load_rgb_image(path):
    """Read an image as the models take it.

    The image is turned upright as its EXIF orientation says, as in Detectron2.

    Args:
        path (str): any format that Pillow reads; grey, palette and alpha images are converted.
    Returns:
        (H, W, 3) uint8 array, RGB.
    Raises:
        UserError: the file is missing, truncated or no image.
    """
    try:
        return detection_utils.read_image(str(path), format="RGB")
    except _READ_ERRORS as error:
        raise _unreadable("image", path, error) from error


def load_label_map(path):
    """Read a label map with the ids that the file holds.

    Detectron2's ``read_image`` is no help here: asked for mode "L" it clips 16-bit ids.
    The EXIF orientation of a label map is not looked at.

    Args:
        path (str): PNG or TIFF, 8 or 16 bit, one channel; of a palette image the indices count.
    Returns:
        (H, W) int64 array.
    Raises:
        UserError: the file is missing, truncated, or has several channels (a color picture).
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            labels = np.asarray(image) if mode in _LABEL_MODES else None  # (H, W)
    except _READ_ERRORS as error:
        raise _unreadable("label map", path, error) from error
    if labels is None:
        raise UserError(
            f"{path}: a label map has one channel of integers, but this file has Pillow mode "
            f"'{mode}'; save the class ids themselves as an 8-bit or 16-bit PNG or TIFF"
        )
    return labels.astype(np.int64)


def _unreadable(what, path, error):
    reason = str(error) or type(error).__name__
    return UserError(f"{path}: cannot read this {what} ({reason}); restore the file or remove it")
