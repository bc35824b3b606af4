"""Semantic segmentation quality from streaming pixel counts."""

from collections import OrderedDict

import numpy as np
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from san.data.dataset_mapper import check_labels
from san.data.datasets import load_labels
from san.data.tasks import metadata_of
from san.errors import UserError
from san.label_vocabulary import to_labels

from .bootstrap import PoissonBootstrap
from .boundary import boundary_counts
from .confusion import argmax_classes, count_pairs
from .options import SemSegOptions
from .prediction_files import PredictionWriter
from .seen import seen_groups
from .sem_seg_report import summarize, write_report

ORACLE = "oracle_label_map"  # key of a model's output, see OracleVocabulary


class SemSegEvaluator(DatasetEvaluator):
    """Mean IoU and its relatives over a data set, whichever process saw which image.

    Metrics, names and scale are those of Detectron2's SemSegEvaluator; "none of the classes"
    (label -1), which that one does not know, counts as a wrong prediction. Only sums are kept in
    memory, whose size does not depend on the number of images: a matrix of (C + 1) x (C + 1)
    counts, for the bootstrap 3 x C x replicates. (Saving predictions adds a line for each image.)
    """

    def __init__(self, dataset_name, output_dir=None, options=None):
        """
        Args:
            dataset_name (str): its metadata give ``stuff_classes`` and ``ignore_label``, and may
                give ``seen``, see `seen_groups`: the mean IoU of both groups is reported then.
            output_dir (str): where ``sem_seg_evaluation.json`` and ``.md`` go, and predictions to
                be saved; None: nowhere.
            options (SemSegOptions): None: Detectron2's metrics alone.

        Raises:
            UserError: seen classes that do not fit the data set.
        """
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.options = options or SemSegOptions()
        self.metadata = metadata_of(dataset_name)
        self.class_names = list(self.metadata.stuff_classes)
        self.seen = seen_groups(self.metadata, self.options.seen_classes)
        self._writer = None
        if self.options.save_predictions and output_dir:
            self._writer = PredictionWriter(output_dir, dataset_name)
        self.reset()

    def reset(self):
        """Forget all images."""
        num_classes, options = len(self.class_names), self.options
        square = (num_classes + 1, num_classes + 1)  # [predicted, target]
        self._sums = {"images": np.zeros((), np.int64), "matrix": np.zeros(square, np.int64)}
        self._bootstrap = None
        if options.oracle_vocabulary:
            self._sums["oracle"] = np.zeros(square, np.int64)
        if options.boundary_iou:
            self._sums["boundary"] = np.zeros((3, num_classes), np.int64)
        if options.bootstrap_replicates:
            self._bootstrap = PoissonBootstrap(num_classes, options.bootstrap_replicates)
            self._sums["bootstrap"] = self._bootstrap.counts
        if self._writer:
            self._writer.entries = []

    def process(self, inputs, outputs):
        """Count the pixels of a batch.

        Args:
            inputs (list[dict]): ``file_name`` of the image, ``sem_seg_file_name`` of its labels,
                and the `Vocabulary` whose ids are the labels, where there is one.
            outputs (list[dict]): ``label_map`` (H, W) int, -1 for none of the classes, or
                ``sem_seg`` (C, H, W) scores; H x W is the size of the image file. With an oracle
                vocabulary also ``oracle_label_map``, like ``label_map``.

        Raises:
            UserError: a label map of another size than the image, or with a label that is neither
                a class nor the ignore label; a prediction with a label that is no class.
        """
        for record, output in zip(inputs, outputs, strict=True):
            maps = {"predicted": self._labels(record, output)}  # (H, W)
            if self.options.oracle_vocabulary:
                maps["oracle"] = output[ORACLE].cpu().numpy()
            target = load_labels(record, self.metadata, dtype=None)  # (H, W)
            check_labels(record, target, maps["predicted"].shape, self.metadata)
            pairs = {name: self._pairs(record, labels, target) for name, labels in maps.items()}
            self._add(record["file_name"], **pairs)
            if self.options.boundary_iou:
                self._sums["boundary"] += self._boundary_counts(maps["predicted"], target)
            if self._writer:
                self._writer.add(record, **maps)

    def _labels(self, record, output):
        """(H, W) int array of predicted labels, -1 for none, from a label map or from scores."""
        if "label_map" in output:
            positions = output["label_map"].cpu().numpy()
        else:
            positions = argmax_classes(output["sem_seg"])
        return to_labels(positions, record.get("vocabulary"), len(self.class_names))

    def _pairs(self, record, predicted, target):
        """Pairs of classes; a UserError for a prediction with a label that is no class."""
        pairs, num_classes = count_pairs(predicted, target), len(self.class_names)
        if pairs.predicted.max() >= num_classes:
            raise UserError(
                f"{record['file_name']}: the prediction has the label {pairs.predicted.max()}, but "
                f"data set '{self.dataset_name}' has {num_classes} classes; predict with its own"
            )
        return pairs.to_classes(num_classes, self.metadata.ignore_label)

    def _add(self, file_name, predicted, oracle=None):
        """Add the pairs of an image."""
        self._sums["images"] += 1
        predicted.add_to(self._sums["matrix"])
        if self._bootstrap:
            self._bootstrap.add(file_name, predicted.of_classes(len(self.class_names)))
        if oracle:
            oracle.add_to(self._sums["oracle"])

    def _boundary_counts(self, predicted, target):
        num_classes = len(self.class_names)
        predicted = np.where(predicted < 0, num_classes, predicted)
        target = np.where(target == self.metadata.ignore_label, num_classes, target)
        return boundary_counts(predicted, target, num_classes)

    def evaluate(self):
        """Metrics over the images of all processes.

        Returns:
            OrderedDict | None: {"sem_seg": {"mIoU": ..., "fwIoU": ..., "IoU-<class>": ..., "mACC":
            ..., "pACC": ..., "ACC-<class>": ...}} in percent, NaN for a class without a true pixel;
            more by options, see `summarize`. None on all but the main process.
        """
        parts = comm.gather((self._sums, self._writer.entries if self._writer else []))
        if not comm.is_main_process():
            return None
        sums = {key: sum(part[0][key] for part in parts) for key in self._sums}
        if self._writer:
            entries = [entry for part in parts for entry in part[1]]
            self._writer.write_index(entries, self.options.oracle_vocabulary)
        overall, classes, replicates = summarize(sums, self.class_names, self.seen)
        if self.output_dir:
            header = {"dataset": self.dataset_name, "images": int(sums["images"])}
            write_report(self.output_dir, header, overall, classes, replicates)
        return OrderedDict(sem_seg=_named(overall, classes))


def _named(overall, classes):
    """One flat dict in the order of Detectron2's evaluator."""
    metrics = {"mIoU": overall["mIoU"], "fwIoU": overall["fwIoU"]}
    metrics |= {f"IoU-{c['name']}": c["IoU"] for c in classes}
    metrics |= {f"BoundaryIoU-{c['name']}": c["BoundaryIoU"] for c in classes if "BoundaryIoU" in c}
    metrics |= {"mACC": overall["mACC"], "pACC": overall["pACC"]}
    metrics |= {f"ACC-{c['name']}": c["ACC"] for c in classes}
    return {**metrics, **overall}
