"""The background threshold that is best on a data set, from one pass over its images.

The model gives every pixel its best class and the share s of "none of these"; at the threshold t
the pixel is background where s >= t. Pixels are counted by class and by how many thresholds of a
grid s reaches, and cumulative sums give the confusion of every threshold at once.

C classes, background left out; K thresholds.
"""

import dataclasses

import numpy as np
import torch
from detectron2.data import MetadataCatalog

from san.data.dataset_mapper import check_labels
from san.data.datasets import load_labels
from san.errors import UserError
from san.label_vocabulary import missing_labels
from san.modeling.text.vocabulary import Vocabulary
from san.protocol import evaluation_vocabulary

THRESHOLDS = np.linspace(0, 1, 1001)  # a pixel is background where its share reaches one
_BACKGROUND = "background"  # name of the class of a data set


class ThresholdSweep:
    """Mean IoU as a function of the threshold.

    Args:
        num_classes (int): C.
        thresholds (ndarray): (K,) ascending.
    """

    def __init__(self, num_classes, thresholds=THRESHOLDS):
        self.num_classes, self.thresholds = num_classes, np.asarray(thresholds, np.float32)
        # by the number of thresholds reached, 0..K, and by class
        self._predicted = np.zeros((len(thresholds) + 1, num_classes), np.int64)
        self._correct = np.zeros_like(self._predicted)
        self._background = np.zeros(len(thresholds) + 1, np.int64)  # true background
        self._target = np.zeros(num_classes, np.int64)

    def add(self, labels, shares, target):
        """Count the pixels of one image.

        Args:
            labels (ndarray): (H, W) int, best class 0..C-1.
            shares (ndarray): (H, W) float32, of "none of these".
            target (ndarray): (H, W) int, true class 0..C-1, C for background, -1 for ignored.
        """
        known = target >= 0
        labels, shares, target = labels[known], shares[known], target[known]
        reached = np.searchsorted(self.thresholds, shares, side="right")  # 0..K
        self._count(self._predicted, reached, labels)
        right = labels == target
        self._count(self._correct, reached[right], labels[right])
        of_background = reached[target == self.num_classes]
        self._background += np.bincount(of_background, minlength=len(self._background))
        self._target += np.bincount(target, minlength=self.num_classes + 1)[:-1]

    def _count(self, counts, reached, classes):
        cells = reached * self.num_classes + classes
        counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)

    def miou(self):
        """Mean IoU in percent at each threshold, and, last, without one: (K + 1,).

        The mean goes over the classes that the ground truth shows, background among them. At the
        k-th threshold, pixels that reach k or fewer of the thresholds before it keep their class.
        """
        predicted = self._predicted.cumsum(axis=0)  # (K + 1, C)
        correct = self._correct.cumsum(axis=0)
        background, total = self._background.sum(), self._predicted.sum()
        correct = np.c_[correct, background - self._background.cumsum()]  # (K + 1, C + 1)
        predicted = np.c_[predicted, total - predicted.sum(axis=1)]
        target = np.append(self._target, background)
        present = target > 0
        if not present.any():
            raise UserError("the label maps have no labeled pixel: there is nothing to tune on")
        union = (predicted + target - correct)[:, present]
        return 100 * (correct[:, present] / union).mean(axis=1)


def foreground_vocabulary(cfg, dataset_name, path=None):
    """The classes of a data set that are not background; their ids are labels.

    Args:
        cfg: TEST.VOCABULARY and TEST.PROTOCOL name the words if ``path`` does not.
        dataset_name (str): registered name.
        path (str | None): a vocabulary file whose ids are labels; all other labels are background.

    Returns:
        Vocabulary: without a threshold.

    Raises:
        UserError: no label is background, or an id is no label.
    """
    names = MetadataCatalog.get(dataset_name).stuff_classes
    if path is not None:
        vocabulary = Vocabulary.from_file(path)
    else:
        vocabulary = evaluation_vocabulary(cfg, dataset_name) or Vocabulary.from_words(
            [[name.strip()] for name in names], allow_duplicates=True
        )
        vocabulary = _without_background(vocabulary, names)
    if max(vocabulary.ids) >= len(names):
        raise UserError(
            f"vocabulary file {path}: an id is {max(vocabulary.ids)}, but the labels of the data "
            f"set '{dataset_name}' are 0 to {len(names) - 1}; give each class its label as id"
        )
    if not missing_labels(vocabulary, len(names)):
        raise UserError(
            f"data set '{dataset_name}' has no class 'background' and its labels all have words: "
            "there is no background to tune on. Give --vocabulary FILE with the classes that are "
            "foreground, each with its label as id"
        )
    return dataclasses.replace(vocabulary, background_threshold=None)


def _without_background(vocabulary, names):
    """The vocabulary without the class of the label called "background", if there is one."""
    names = [name.strip().lower() for name in names]
    background = names.index(_BACKGROUND) if _BACKGROUND in names else None
    return vocabulary.select([i for i, label in enumerate(vocabulary.ids) if label != background])


@torch.inference_mode()
def sweep_thresholds(model, batches, vocabulary, dataset_name):
    """Run a model over a data set and count for every threshold at once.

    Args:
        model (OpenVocabSegmentor): in evaluation mode.
        batches (iterable[list[dict]]): of `san.data.build_test_loader`.
        vocabulary (Vocabulary): of :func:`foreground_vocabulary`.
        dataset_name (str): registered name.

    Returns:
        ThresholdSweep
    """
    metadata = MetadataCatalog.get(dataset_name)
    num_classes, num_labels = len(vocabulary), len(metadata.stuff_classes)
    class_of_label = np.full(num_labels, num_classes)  # background, but for
    class_of_label[list(vocabulary.ids)] = np.arange(num_classes)
    asked = {"vocabulary": vocabulary, "background_threshold": None, "none_share": True}
    sweep = ThresholdSweep(num_classes)
    for batch in batches:
        outputs = model([{**record, **asked, "output": "label_map"} for record in batch])
        for record, output in zip(batch, outputs, strict=True):
            labels = output["label_map"].cpu().numpy()
            # A method without a no-object embedding: what its best class leaves to all others
            shares = output["none_share"] if "none_share" in output else 1 - output["scores"]
            target = load_labels(record, metadata)
            check_labels(record, target, labels.shape, metadata)
            ignored = target == metadata.ignore_label
            target = np.where(ignored, -1, class_of_label[np.where(ignored, 0, target)])
            sweep.add(labels, shares.float().cpu().numpy(), target)
    return sweep
