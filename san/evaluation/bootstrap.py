"""Confidence intervals of the metrics: the Poisson bootstrap over images.

The bootstrap (Efron, Annals of Statistics 7, 1979) evaluates sets of images drawn with replacement
from those at hand. Here an image's number of occurrences is drawn from Poisson(1), independently of
all others (Hanley and MacGibbon, "Creating non-parametric bootstrap samples using Poisson
frequencies", 2006), so images need not be known before they are evaluated. The draws follow from
the image's file name: neither their order nor the number of processes plays a role, and two models
evaluated on the same images are resampled alike.

C classes, R replicates, k classes of an image.
"""

import hashlib
import math
from pathlib import Path

import numpy as np

SEED = 0  # one for all, so that the replicates of different models can be compared pair by pair
LEVEL = 0.95

_TERMS = 20  # Poisson(1) exceeds this once in 10^19 draws
_CUMULATIVE = np.cumsum([math.exp(-1) / math.factorial(n) for n in range(_TERMS)])


def poisson_weights(file_name, num_replicates, seed=SEED):
    """How often an image occurs in each replicate.

    The inverse distribution function is applied to the raw numbers of Philox, which do not change
    between versions of NumPy as distributions may.

    Args:
        file_name (str): of the image; its last part counts, so that data sets may be moved.

    Returns:
        ndarray: (R,) int64, 0 and more, 1 in the mean.
    """
    digest = hashlib.blake2b(f"{seed}/{Path(file_name).name}".encode(), digest_size=16).digest()
    raw = np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(num_replicates)
    return np.searchsorted(_CUMULATIVE, (raw >> np.uint64(11)) * 2.0**-53, side="right")


class PoissonBootstrap:
    """Pixel counts of the classes in every replicate; what it keeps does not grow with images.

    Attributes:
        counts (ndarray): (3, C, R) int64: correct, target and predicted pixels. Those of several
            processes add up.
    """

    def __init__(self, num_classes, num_replicates):
        self.counts = np.zeros((3, num_classes, num_replicates), dtype=np.int64)

    def add(self, file_name, class_counts):
        """Add the `ClassCounts` of one image."""
        weights = poisson_weights(file_name, self.counts.shape[-1])  # (R,)
        classes, *counts = class_counts
        for total, count in zip(self.counts, counts, strict=True):
            total[classes] += count[:, None] * weights  # (k, R)


def confidence_interval(values, level=LEVEL):
    """The percentile interval of replicates: two floats, NaN where there are no values."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
