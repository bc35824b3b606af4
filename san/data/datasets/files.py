"""Read label maps, and name the file when that fails."""

import numpy as np
from PIL import Image

from san.errors import UserError

# One channel of integers: grey 8 bit, palette (its indices), grey 16 bit in either byte order.
_LABEL_MODES = ("L", "P", "I;16", "I;16B", "I")


def load_labels(record, metadata, dtype=np.int64):
    """Read the label map of a data set record, whatever form it has on disk.

    Args:
        record (dict): as the data set is registered; "sem_seg_file_name" is the label map or, where
            the metadata have a reader, what that reads it from.
        metadata: may have ``label_reader``, a callable record -> (H, W) int64 of class ids.
        dtype (type | None): of the array; None: what comes without a copy.
    Returns:
        (H, W) integer array: ids of the data set's classes and its ignore label.
    Raises:
        UserError: the file is missing or damaged, or the reader finds a fault in it.
    """
    reader = metadata.get("label_reader")
    if reader is None:
        return load_label_map(record["sem_seg_file_name"], dtype)
    labels = reader(record)
    return labels if dtype is None else labels.astype(dtype, copy=False)


def load_label_map(path, dtype=np.int64):
    """Read a label map with the ids that the file holds.

    Detectron2's ``read_image`` is no help here: asked for mode "L" it clips 16-bit ids.
    The EXIF orientation of a label map is not looked at.

    Args:
        path (str): PNG or TIFF, 8 or 16 bit, one channel; of a palette image the indices count.
        dtype (type | None): of the array; None: the file's own, in an array not to be written to.
    Returns:
        (H, W) integer array.
    Raises:
        UserError: the file is missing, truncated, or has several channels (a color picture).
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            labels = np.asarray(image) if mode in _LABEL_MODES else None  # (H, W)
    except Exception as error:  # Pillow's readers raise many types on a damaged file
        raise UserError(
            f"{path}: cannot read this label map ({error or type(error).__name__}); "
            "restore the file or remove it with its image"
        ) from error
    if labels is None:
        raise UserError(
            f"{path}: a label map has one channel of integers, but this file has Pillow mode "
            f"'{mode}'; save the class ids themselves as an 8-bit or 16-bit PNG or TIFF"
        )
    return labels if dtype is None else labels.astype(dtype)
