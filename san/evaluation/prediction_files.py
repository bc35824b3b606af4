"""Files of predicted label maps: 16-bit PNGs and their index.

A folder of predictions holds a PNG for each image, the label of every pixel, 65535 for none of the
classes; with an oracle vocabulary a second one below "oracle"; and index.json:

    {"format": 1, "dataset": registered name, "classes": [name, ...], "vocabulary": [[synonym, ...],
     ...] that the model was given, "vocabulary_sha256": see `value_sha256`, "oracle": bool,
     "images": {image: {"png": its PNG, "sha256": of that, "oracle_sha256": of the second one}}}

An image goes by its path below the folder that all images of the data set share, so data set and
predictions can be moved. The index is written last: a folder without one is not complete.
"""

import hashlib
import os
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm
from PIL import Image

from san.data.datasets import load_label_map
from san.errors import UserError
from san.files import atomic_path, write_json
from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor
from san.provenance import value_sha256

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
        self._classes = list(MetadataCatalog.get(dataset_name).stuff_classes)
        self._vocabulary = [[name] for name in self._classes]
        self._names = relative_names(DatasetCatalog.get(dataset_name))
        self._pngs = _png_names(self._names.values())

    def add(self, record, predicted, oracle=None):
        """Write the label maps (H, W) of one image, -1 for none."""
        if comm.is_main_process() and not self.entries:
            (self.folder / INDEX).unlink(missing_ok=True)  # of an earlier evaluation
        if "vocabulary" in record:
            self._vocabulary = OpenVocabSegmentor.vocabulary_of(record)
        name = self._names[record["file_name"]]
        png = self._pngs[name]
        entry = {"png": png, "sha256": _write_labels(self.folder / png, predicted)}
        if oracle is not None:
            path = self.folder / ORACLE_FOLDER / png
            entry["oracle_sha256"] = _write_labels(path, oracle)
        self.entries.append((name, entry))

    def write_index(self, entries, oracle):
        """Write index.json.

        Args:
            entries (list): those of all processes.
            oracle (bool): whether there are predictions with an oracle vocabulary.
        """
        index = {
            "format": FORMAT,
            "dataset": self.dataset_name,
            "classes": self._classes,
            "vocabulary": self._vocabulary,
            "vocabulary_sha256": value_sha256(self._vocabulary),
            "oracle": oracle,
            "images": dict(sorted(entries)),
        }
        write_json(self.folder / INDEX, index)


def relative_names(records):
    """Image file -> its path, with "/", below the folder that all images share."""
    files = [record["file_name"] for record in records]
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    return {file: Path(os.path.abspath(file)).relative_to(folder).as_posix() for file in files}


def _png_names(names):
    """Image -> its PNG: of a.jpg a.png, or, in a data set with an a.png as well, a.jpg.png."""
    plain = {name: str(PurePosixPath(name).with_suffix(".png")) for name in names}
    unique = len(set(plain.values())) == len(plain)
    return plain if unique else {name: f"{name}.png" for name in plain}


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
