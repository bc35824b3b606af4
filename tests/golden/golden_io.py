"""Reads golden files and compares tensors with them.

A golden is an .npz and a .json beside it. For a recorded tensor ``key`` the npz holds
    key + "|v"   values: the whole tensor, or a flat strided sample  t.reshape(-1)[::stride]
    key + "|s"   float64 [mean, std (population), min, max, L2 norm] of the whole tensor
and the json holds  arrays[key] = {what, shape, dtype, stride (1: whole tensor, in its shape),
noise (max |float32 - float64| of the official model itself, where it was measured)}.
"""

import hashlib
import itertools
import json

import numpy as np
import torch


class Golden:
    """One golden file: arrays, and what is known of them."""

    def __init__(self, arrays, meta):
        self.arrays, self.meta = arrays, meta

    @classmethod
    def load(cls, stem):
        """Read ``stem``.npz and ``stem``.json."""
        with np.load(stem + ".npz") as z:
            arrays = {k: z[k] for k in z.files}
        with open(stem + ".json", encoding="utf-8") as f:
            return cls(arrays, json.load(f))

    def value(self, key):
        """What was recorded: the tensor, or its strided sample."""
        return self.arrays[key + "|v"]

    def check(self, key, tensor, atol):
        """AssertionError if shape or values differ, the latter by more than ``atol``."""
        entry = self.meta["arrays"][key]
        values = np.ascontiguousarray(torch.as_tensor(tensor).detach().cpu().numpy())
        if list(values.shape) != entry["shape"]:
            raise AssertionError(f"{key}: shape {list(values.shape)}, golden {entry['shape']}")
        if entry["stride"] > 1:
            values = values.reshape(-1)[:: entry["stride"]]
        reference = self.value(key).astype(np.float64)
        difference = np.abs(values.astype(np.float64) - reference).max(initial=0)
        if not difference <= atol:
            raise AssertionError(
                f"{key} ({entry['what']}): differs by {difference:.3g}, more than {atol:.3g}; "
                f"noise of the official model itself {entry.get('noise', 'not measured')}"
            )


def has_label_map(scores, digest, tie=2e-6):
    """True if the arg-max is the recorded map, whichever way its near ties fall.

    Processors round differently; where the two best scores are closer than that, either class is
    the recorded one. Every way is tried, so all other pixels are exact.

    Args:
        scores: (C, H, W) float, fewer than 256 classes.
        digest (str): SHA-256 of the recorded map, row-major uint8.
        tie (float): the largest difference of a near tie, as a share of the largest score.
    Raises:
        AssertionError: more than 12 near ties.
    """
    values, classes = scores.flatten(1).topk(2, dim=0)  # (2, H x W)
    gap = values[0] - values[1]
    ties = (gap <= tie * values.abs().max()).nonzero()[:, 0].tolist()
    assert len(ties) <= 12, f"{len(ties)} near ties"
    best, second = classes.to(torch.uint8).cpu().numpy()
    for choice in itertools.product((False, True), repeat=len(ties)):
        label_map = best.copy()
        flipped = [pixel for pixel, chosen in zip(ties, choice, strict=True) if chosen]
        label_map[flipped] = second[flipped]
        if hashlib.sha256(label_map.tobytes()).hexdigest() == digest:
            return True
    return False
