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

from .report import markdown_table, overall_table, without_nan


class ZeroShotEvaluator(DatasetEvaluator):
    """Top-1 and top-5 accuracy over a data set, whichever process saw which image.

    With metadata ``seen`` (C,) bool, also the top-1 accuracy of seen and unseen classes, both among
    all C classes, and their harmonic mean. Kept in memory: three counts per class.
    """

    def __init__(self, dataset_name, output_dir=None):
        """
        Args:
            dataset_name (str): its metadata give ``class_names`` and may give ``seen``.
            output_dir (str): where ``zero_shot_evaluation.json`` and ``.md`` go; None: nowhere.

        Raises:
            UserError: ``seen`` of another length than ``class_names``.
        """
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        metadata = MetadataCatalog.get(dataset_name)
        self.class_names = list(metadata.class_names)
        self.seen = metadata.get("seen")
        if self.seen is not None and len(self.seen) != len(self.class_names):
            raise UserError(
                f"data set '{dataset_name}': its metadata 'seen' has {len(self.seen)} entries for "
                f"{len(self.class_names)} class names; give one bool per class"
            )
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
            "top1_harmonic"}} in percent, the last three NaN without metadata ``seen``, on the main
            process; None on the others.
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
        columns = {
            "name": self.class_names,
            "top1": _percent(counts[1], counts[0]).tolist(),
            "top5": _percent(counts[2], counts[0]).tolist(),
            "images": counts[0].tolist(),
        }
        if self.seen is not None:
            columns["seen"] = [bool(seen) for seen in self.seen]
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
        seen (sequence[bool]): (C,), or None.
    """
    images, top1, top5 = counts
    seen_top1 = unseen_top1 = harmonic = np.nan
    if seen is not None:
        seen = np.array(seen, dtype=bool)
        seen_top1 = _percent(top1[seen].sum(), images[seen].sum())
        unseen_top1 = _percent(top1[~seen].sum(), images[~seen].sum())
        # The smallest number above 0 keeps the mean of 0 and 0 at 0
        total = np.maximum(seen_top1 + unseen_top1, np.finfo(float).tiny)
        harmonic = 2 * seen_top1 * unseen_top1 / total
    metrics = {
        "top1": _percent(top1.sum(), images.sum()),
        "top5": _percent(top5.sum(), images.sum()),
        "top1_seen": seen_top1,
        "top1_unseen": unseen_top1,
        "top1_harmonic": harmonic,
    }
    return {name: float(value) for name, value in metrics.items()}


def _percent(part, whole):
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * np.float64(part) / np.float64(whole)
