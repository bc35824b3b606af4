"""Reads golden files and compares tensors with them.

A golden is an .npz and a .json beside it. For a recorded tensor ``key`` the npz holds
    key + "|v"   values: the whole tensor, or a flat strided sample  t.reshape(-1)[::stride]
    key + "|s"   float64 [mean, std (population), min, max, L2 norm] of the whole tensor
and the json holds  arrays[key] = {what, shape, dtype, stride (1: whole tensor, in its shape),
noise (max |float32 - float64| of the official model itself, where it was measured)}.
"""

import hashlib
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


def seg_hash(argmax):
    """sha256 of an arg-max map as row-major uint8 (fewer than 256 classes)."""
    return hashlib.sha256(np.ascontiguousarray(argmax.to(torch.uint8).cpu()).tobytes()).hexdigest()
