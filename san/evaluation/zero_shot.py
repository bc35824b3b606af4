"""Zero-shot classification: does CLIP (arXiv 2103.00020, Sec. 3.1) know an image's class by name?

C classes.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from san.errors import UserError
from san.files import write_json, write_text

from .metrics import class_flags, harmonic_mean
from .report import markdown_table, overall_table, without_nan


class ZeroShotEvaluator(DatasetEvaluator):
    """Top-1 and top-5 accuracy over a data set, whichever process saw which image.

    With metadata ``seen`` (C,) bool also the top-1 accuracy of seen and of unseen classes, among
    all C classes, and their harmonic mean. Kept in memory: three counts per class.
    """

    def __init__(self, dataset_name, output_dir=None):
        """
        Args:
            dataset_name (str): its metadata give ``thing_classes`` and may give ``seen``.
            output_dir (str): where ``zero_shot_evaluation.json`` and ``.md`` go; None: nowhere.

        Raises:
            UserError: ``seen`` of another length than ``thing_classes``.
        """
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        metadata = MetadataCatalog.get(dataset_name)
        self.class_names = list(metadata.thing_classes)
        has_seen = "seen" in metadata.as_dict()
        self.seen = class_flags(metadata, "seen", len(self.class_names)) if has_seen else None
        self.reset()

    def reset(self):
        """Forget all images."""
        self._counts = np.zeros((3, len(self.class_names)), dtype=np.int64)  # images, top-1, top-5

    def process(self, inputs, outputs):
        """Count a batch.

        Args:
            inputs (list[dict]): ``class`` (int) and ``file_name``.
            outputs (list[dict]): ``class_logits`` (C,).

        Raises:
            UserError: a class that has no name.
        """
        num_classes = len(self.class_names)
        for record, output in zip(inputs, outputs, strict=True):
            label = record["class"]
            if not 0 <= label < num_classes:
                raise UserError(
                    f"{record['file_name']}: its class is {label}, but data set "
                    f"'{self.dataset_name}' has the classes 0 to {num_classes - 1}"
                )
            logits = output["class_logits"]
            ranking = logits.topk(min(5, num_classes)).indices.tolist()
            self._counts[:, label] += 1, ranking[0] == label, label in ranking

    def evaluate(self):
        """Accuracies over the images of all processes.

        Returns:
            OrderedDict | None: {"zero_shot": {"top1", "top5", "top1_seen", "top1_unseen",
            "top1_harmonic"}} in percent, NaN where the metadata do not tell what is seen, on the
            main process; None on the others.
        """
        parts = comm.gather(self._counts)
        if not comm.is_main_process():
            return None
        counts = sum(parts)  # (3, C)
        metrics = accuracies(counts, self.seen)
        if self.output_dir:
            self._write(metrics, counts)
        return OrderedDict(zero_shot=metrics)

    def _write(self, metrics, counts):
        top1, top5 = (_percent(hits, counts[0]).tolist() for hits in counts[1:])
        columns = {"name": self.class_names, "top1": top1, "top5": top5}
        columns["images"] = counts[0].tolist()
        if self.seen is not None:
            columns["seen"] = self.seen.tolist()
        rows = list(zip(*columns.values(), strict=True))
        num_images = int(counts[0].sum())
        stem = Path(self.output_dir) / "zero_shot_evaluation"
        report = {"dataset": self.dataset_name, "images": num_images, "metrics": metrics}
        report["classes"] = [dict(zip(columns, row, strict=True)) for row in rows]
        write_json(f"{stem}.json", without_nan(report))
        overall = overall_table({self.dataset_name: metrics}, "zero_shot")
        per_class = markdown_table(columns, rows)
        write_text(f"{stem}.md", f"{overall}\n{num_images} images, in percent.\n\n{per_class}")


def accuracies(counts, seen=None):
    """Metrics of :class:`ZeroShotEvaluator` in percent; NaN where there are no images.

    Args:
        counts (ndarray): (3, C): images, top-1 hits and top-5 hits of every class.
        seen (ndarray): (C,) bool, or None.
    """
    none = np.zeros(counts.shape[1], dtype=bool)
    groups = (none, none) if seen is None else (seen, ~seen)
    top1_seen, top1_unseen = (_percent(*counts[1::-1, group].sum(axis=1)) for group in groups)
    images, hits1, hits5 = counts.sum(axis=1)
    metrics = {
        "top1": _percent(hits1, images),
        "top5": _percent(hits5, images),
        "top1_seen": top1_seen,
        "top1_unseen": top1_unseen,
        "top1_harmonic": harmonic_mean(top1_seen, top1_unseen),
    }
    return {name: float(value) for name, value in metrics.items()}


def _percent(part, whole):
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * np.float64(part) / np.float64(whole)
