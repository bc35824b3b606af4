"""Semantic segmentation quality from one streaming confusion matrix."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from san.data.dataset_mapper import check_labels
from san.data.datasets import load_labels
from san.files import write_json, write_text

from .metrics import class_flags, count_confusion, seen_and_unseen, segmentation_metrics
from .report import markdown_table, overall_table, without_nan


class SemSegEvaluator(DatasetEvaluator):
    """Mean IoU and its relatives over a data set, whichever process saw which image.

    Metrics, names and scale are those of Detectron2's SemSegEvaluator; "none of the classes"
    (label -1), which that one does not know, counts as a wrong prediction. Kept in memory: a matrix
    of (C + 1) x (C + 1) counts.
    """

    def __init__(self, dataset_name, output_dir=None):
        """
        Args:
            dataset_name (str): its metadata give ``stuff_classes`` and ``ignore_label``, and may
                give ``seen``, a bool per class: the mean IoU of both groups is reported then.
            output_dir (str): where ``sem_seg_evaluation.json`` and ``.md`` go; None: nowhere.
        """
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.metadata = MetadataCatalog.get(dataset_name)
        self.class_names = list(self.metadata.stuff_classes)
        self.seen = None
        if self.metadata.get("seen") is not None:
            self.seen = class_flags(self.metadata, "seen", len(self.class_names))
        self.reset()

    def reset(self):
        """Forget all images."""
        side = len(self.class_names) + 1
        self._matrix = np.zeros((side, side), dtype=np.int64)  # [predicted, target]
        self._num_images = 0

    def process(self, inputs, outputs):
        """Count the pixels of a batch.

        Args:
            inputs (list[dict]): ``file_name`` of the image, ``sem_seg_file_name`` of its labels.
            outputs (list[dict]): ``label_map`` (H, W) int, -1 for none of the classes, or
                ``sem_seg`` (C, H, W) scores; H x W is the size of the image file.

        Raises:
            UserError: a label map of another size than the image, or with a label that is neither
                a class nor the ignore label.
        """
        num_classes = len(self.class_names)
        for record, output in zip(inputs, outputs, strict=True):
            predicted = _label_map(output)  # (H, W)
            target = load_labels(record, self.metadata)  # (H, W)
            check_labels(record, target, predicted.shape, self.metadata)
            target[target == self.metadata.ignore_label] = num_classes
            predicted = np.where(predicted < 0, num_classes, predicted)
            self._matrix += count_confusion(predicted, target, num_classes)
            self._num_images += 1

    def evaluate(self):
        """Metrics over the images of all processes.

        Returns:
            OrderedDict | None: {"sem_seg": {"mIoU": ..., "fwIoU": ..., "IoU-<class>": ..., "mACC":
            ..., "pACC": ..., "ACC-<class>": ...}} in percent, NaN for a class without a true pixel;
            with ``seen`` also "mIoU_seen", "mIoU_unseen" and "mIoU_harmonic". None on all but the
            main process.
        """
        parts = comm.gather((self._matrix, self._num_images))
        if not comm.is_main_process():
            return None
        matrix = sum(part[0] for part in parts)
        overall, iou, acc = segmentation_metrics(matrix)
        if self.seen is not None:
            overall |= seen_and_unseen(iou, self.seen)
        if self.output_dir:
            self._write(overall, iou, acc, matrix, sum(part[1] for part in parts))
        return OrderedDict(sem_seg=self._named(overall, iou, acc))

    def _named(self, overall, iou, acc):
        metrics = {"mIoU": overall["mIoU"], "fwIoU": overall["fwIoU"]}
        metrics |= {f"IoU-{n}": float(v) for n, v in zip(self.class_names, iou, strict=True)}
        metrics |= {"mACC": overall["mACC"], "pACC": overall["pACC"]}
        metrics |= {f"ACC-{n}": float(v) for n, v in zip(self.class_names, acc, strict=True)}
        return {**metrics, **overall}

    def _write(self, overall, iou, acc, matrix, num_images):
        classes = {
            "name": self.class_names,
            "IoU": iou.tolist(),
            "ACC": acc.tolist(),
            "pixels": matrix[:, :-1].sum(0).tolist(),  # that are of the class
            "predicted_pixels": matrix[:-1, :-1].sum(1).tolist(),  # ignored ones left out
        }
        classes = [
            dict(zip(classes, row, strict=True)) for row in zip(*classes.values(), strict=True)
        ]
        stem = Path(self.output_dir) / "sem_seg_evaluation"
        report = {"dataset": self.dataset_name, "images": num_images}
        report = {**report, "metrics": overall, "classes": classes}
        write_json(f"{stem}.json", without_nan(report))
        per_class = markdown_table(("class", "IoU", "ACC"), [list(c.values())[:3] for c in classes])
        overall = overall_table({self.dataset_name: overall})
        write_text(f"{stem}.md", f"{overall}\n{num_images} images, in percent.\n\n{per_class}")


def _label_map(output):
    """(H, W) int array of the predicted classes, from a label map or from scores."""
    labels = output["label_map"] if "label_map" in output else output["sem_seg"].argmax(0)
    return labels.cpu().numpy()
