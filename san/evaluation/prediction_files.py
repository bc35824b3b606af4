"""Files of predicted label maps: 16-bit PNGs and their index.

A folder of predictions holds a PNG for each image, the label of every pixel, 65535 for none of the
classes; with an oracle vocabulary a second one below "oracle"; and index.json:

    {"format": 1, "dataset": registered name, "classes": [name, ...], "classes_sha256": of the names
     joined by line feeds, "oracle": bool, "images": {image: {"sha256": of its PNG, "oracle_sha256":
     of the second one}}}

An image goes by its path below the folder that all images of the data set share, so data set and
predictions can be moved. The index is written last: a folder without one is not complete.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm
from PIL import Image

from san.data.datasets import load_label_map
from san.errors import UserError
from san.files import atomic_path, write_json

FOLDER, INDEX, ORACLE_FOLDER = "predictions", "index.json", "oracle"
FORMAT = 1
_NONE = 65535


class PredictionWriter:
    """Writes the predictions of a data set; every process those of its own images.

    Attributes:
        entries (list): (image, its entry in the index) of each image so far.
    """

    def __init__(self, output_dir, dataset_name):
        """
        Args:
            output_dir (str): predictions go to "predictions" in it.
            dataset_name (str): registered name.
        """
        self.folder = Path(output_dir) / FOLDER
        self.dataset_name = dataset_name
        self.entries = []
        self._names = relative_names(DatasetCatalog.get(dataset_name))

    def add(self, record, predicted, oracle=None):
        """Write the label maps (H, W) of one image, -1 for none."""
        if comm.is_main_process() and not self.entries:
            (self.folder / INDEX).unlink(missing_ok=True)  # of an earlier evaluation
        name = self._names[record["file_name"]]
        entry = {"sha256": _write_labels(png_path(self.folder, name), predicted)}
        if oracle is not None:
            path = png_path(self.folder / ORACLE_FOLDER, name)
            entry["oracle_sha256"] = _write_labels(path, oracle)
        self.entries.append((name, entry))

    def write_index(self, entries, oracle):
        """Write index.json.

        Args:
            entries (list): those of all processes.
            oracle (bool): whether there are predictions with an oracle vocabulary.
        """
        classes = list(MetadataCatalog.get(self.dataset_name).stuff_classes)
        index = {"format": FORMAT, "dataset": self.dataset_name, "classes": classes}
        index |= {"classes_sha256": _sha256("\n".join(classes).encode()), "oracle": oracle}
        write_json(self.folder / INDEX, {**index, "images": dict(sorted(entries))})


def relative_names(records):
    """Image file -> its path, with "/", below the folder that all images share."""
    files = [record["file_name"] for record in records]
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    return {file: Path(os.path.abspath(file)).relative_to(folder).as_posix() for file in files}


def png_path(folder, name):
    """Label map of the image ``name``: of a.jpg a.png; of others the suffix stays before .png."""
    return Path(folder, f"{name.removesuffix('.jpg')}.png")


def _write_labels(path, labels):
    """Write (H, W) labels, -1 for none, as a 16-bit PNG -> SHA-256 of the file."""
    labels = np.where(labels < 0, _NONE, labels).astype(np.uint16)
    with atomic_path(path) as temporary:
        Image.fromarray(labels).save(temporary, format="PNG", compress_level=1)
        return _sha256(temporary.read_bytes())


def read_labels(path, sha256):
    """Read a prediction -> (H, W) int32 tensor, -1 for none.

    Raises:
        UserError: a file that is missing, or not the one with this SHA-256.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot read this prediction ({error.strerror}); predict again"
        ) from None
    if _sha256(content) != sha256:
        raise UserError(f"{path}: this prediction was changed after it was saved; predict again")
    labels = load_label_map(path, np.int32)
    return torch.from_numpy(np.where(labels == _NONE, np.int32(-1), labels))


def _sha256(content):
    return hashlib.sha256(content).hexdigest()
