"""True label maps beside the images that are segmented: how right is a result?"""

from pathlib import Path

import numpy as np

from san.data.datasets import load_label_map
from san.errors import UserError
from san.evaluation.confusion import count_pairs
from san.evaluation.metrics import segmentation_metrics

_NUM_IDS = 65536  # that a 16-bit label map can hold


class Truth:
    """A folder of label maps, ``NAME.png`` for the image ``NAME``, in the ids of a vocabulary.

    A pixel whose value is the id of no class is unlabeled and does not count.

    Args:
        folder (str | Path)
        vocabulary (Vocabulary): its ``ids`` tell the classes of the pixels.

    Raises:
        UserError: no such folder, or an id that no label map can hold.
    """

    def __init__(self, folder, vocabulary):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(
                f"--truth {folder} is no folder: give the folder of the true label maps, one "
                "NAME.png for the image NAME"
            )
        self.num_classes = len(vocabulary.names)
        self.class_of_id = np.full(_NUM_IDS, -1, np.int32)
        for position, class_id in enumerate(vocabulary.ids):
            if not 0 <= class_id < _NUM_IDS:
                raise UserError(
                    f"class {vocabulary.names[position]!r} of the vocabulary has the id "
                    f"{class_id}, which no label map can hold: use 0 to {_NUM_IDS - 1}"
                )
            self.class_of_id[class_id] = position

    def read(self, name, size):
        """The true label map of one image.

        Args:
            name (Path): of the image's results, relative, without suffix.
            size (tuple[int, int]): (H, W) of the image.

        Returns:
            ndarray: (H, W) int32, position in the vocabulary, -1 where unlabeled.

        Raises:
            UserError: the file is missing, cannot be read, or has another size.
        """
        path = self.folder / f"{name}.png"
        labels = load_label_map(path)
        if labels.shape != tuple(size):
            raise UserError(
                f"{path} has {labels.shape[0]} x {labels.shape[1]} pixels, but its image "
                f"{size[0]} x {size[1]}: make it again at the size of the image"
            )
        return self.class_of_id[labels]

    def count(self, label_map, truth):
        """Confusion matrix (C + 1, C + 1) int64, [predicted, true], of two (H, W) label maps."""
        side = self.num_classes + 1
        matrix = np.zeros((side, side), np.int64)
        count_pairs(label_map, truth).to_classes(self.num_classes, -1).add_to(matrix)
        return matrix


def describe_metrics(matrix, names):
    """Metrics of a confusion matrix, in percent, of the classes that the truth shows.

    Returns:
        dict: "mIoU", "pACC" and "IoU", {name: float}, best first; mIoU is None where no pixel is
        labeled.
    """
    overall, iou, _ = segmentation_metrics(matrix)
    present = np.flatnonzero(~np.isnan(iou))
    order = present[np.argsort(-iou[present], kind="stable")]
    rounded = {names[i]: round(float(iou[i]), 2) for i in order}
    if not rounded:
        return {"mIoU": None, "pACC": None, "IoU": {}}
    return {"mIoU": round(overall["mIoU"], 2), "pACC": round(overall["pACC"], 2), "IoU": rounded}
