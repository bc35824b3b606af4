"""What an evaluation costs: images and wall time of a data set, memory of the whole."""

import logging
import time

from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from san.provenance import peak_memory

from .card import Evaluated

logger = logging.getLogger(__name__)


class Measured(DatasetEvaluator):
    """An evaluator, and the time from its first image to its metrics.

    Loading of images is in the time. Of several processes, the slowest one counts.
    """

    def __init__(self, evaluator):
        """
        Args:
            evaluator (DatasetEvaluator): with ``dataset_name`` and ``output_dir``.
        """
        self.evaluator = evaluator

    def reset(self):
        """Start anew, the clock too."""
        logger.info("Evaluating on %s", self.evaluator.dataset_name)
        self._count = 0
        self.evaluator.reset()
        self._start = time.perf_counter()

    def process(self, inputs, outputs):
        """Hand a batch to the evaluator."""
        self._count += len(inputs)
        self.evaluator.process(inputs, outputs)

    def evaluate(self):
        """The evaluator's metrics."""
        results = self.evaluator.evaluate()
        parts = comm.gather((self._count, time.perf_counter() - self._start))
        if comm.is_main_process():
            counts, seconds = zip(*parts, strict=True)
            self._images, self._seconds = sum(counts), max(seconds)
        return results

    def describe(self, results):
        """What a card tells of the data set -> Evaluated; after :meth:`evaluate`, on the main
        process.

        Args:
            results (dict): {kind: metrics}, of the evaluator.
        """
        ((kind, metrics),) = results.items()
        name, folder = self.evaluator.dataset_name, self.evaluator.output_dir
        return Evaluated(name, kind, metrics, self._images, self._seconds, folder)


def largest_memory():
    """Peak memory of the largest process, as `san.provenance.peak_memory` has it.

    All processes call it together; the others than the main one get nothing of use.
    """
    parts = comm.gather(peak_memory())
    sizes = {key: [part[key] for part in parts if part[key] is not None] for key in ("cpu", "gpu")}
    return {key: max(values, default=None) for key, values in sizes.items()}
