"""Reading and writing of golden files (numpy, torch and the standard library only).

A golden is an .npz and a .json next to it.  For a recorded tensor ``key`` the npz holds
    key + "|v"   values: the whole tensor, or a flat strided sample  t.reshape(-1)[::stride]
    key + "|s"   float64 [mean, std (population), min, max, L2 norm] of the whole tensor
and the json holds  arrays[key] = {what, shape, dtype, stride (1: whole tensor, in its shape),
noise (max |float32 - float64| of the official model itself, where it was measured)}.
The first 16 values asked for in a check are the first 16 of the flattened tensor: they are always
stored too, as  key + "|f".

    g = Golden.load("golden_tiny")
    g.check("e128/mask_preds/last", my_tensor, atol=1e-4)     # raises with a readable message
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, Optional

import numpy as np
import torch

_STRIDES = [1, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2053, 4099, 8209, 16411, 32771, 65537]


def _np(t) -> np.ndarray:
    if isinstance(t, torch.Tensor):
        t = t.detach().cpu()
        if t.dtype == torch.float64:
            t = t.float()
        t = t.contiguous().numpy()
    return np.ascontiguousarray(t)


def stats(t) -> np.ndarray:
    a = _np(t).astype(np.float64).reshape(-1)
    if a.size == 0:
        return np.zeros(5)
    return np.array([a.mean(), a.std(), a.min(), a.max(), np.sqrt((a * a).sum())])


def sample(t, stride: int) -> np.ndarray:
    a = _np(t)
    return a if stride == 1 else a.reshape(-1)[::stride]


def seg_hash(argmax: torch.Tensor) -> str:
    """sha256 of the arg-max map as row-major uint8 (fewer than 256 classes)."""
    return hashlib.sha256(_np(argmax.to(torch.uint8)).tobytes()).hexdigest()


class Recorder:
    def __init__(self):
        self.arrays: Dict[str, np.ndarray] = {}
        self.meta: Dict[str, Any] = {"arrays": {}, "info": {}}

    def add(self, key: str, t, what: str, keep: int = 4096):
        a = _np(t)
        stride = 1
        if a.size > keep:
            stride = next(s for s in _STRIDES if a.size / s <= keep)
        entry = {"what": what, "shape": list(a.shape), "dtype": str(a.dtype), "stride": stride}
        self.arrays[key + "|v"] = np.array(sample(a, stride))
        if a.dtype.kind == "f":
            self.arrays[key + "|s"] = stats(a)
            if stride > 1:
                self.arrays[key + "|f"] = np.array(a.reshape(-1)[:16])
        self.meta["arrays"][key] = entry

    def noise(self, key: str, t64, t32):
        d = (t64.double() - t32.double()).abs().max().item() if t32.numel() else 0.0
        self.meta["arrays"][key]["noise"] = d

    def save(self, stem: str):
        np.savez_compressed(stem + ".npz", **self.arrays)
        with open(stem + ".json", "w") as f:
            json.dump(self.meta, f, indent=1, sort_keys=False)


class Golden:
    def __init__(self, arrays, meta):
        self.arrays, self.meta = arrays, meta

    @classmethod
    def load(cls, stem: str) -> "Golden":
        with np.load(stem + ".npz") as z:
            arrays = {k: z[k] for k in z.files}
        with open(stem + ".json") as f:
            return cls(arrays, json.load(f))

    def keys(self):
        return list(self.meta["arrays"])

    def value(self, key: str) -> np.ndarray:
        return self.arrays[key + "|v"]

    def diff(self, key: str, t) -> Dict[str, float]:
        """Largest absolute difference, and it relative to the golden's standard deviation."""
        e = self.meta["arrays"][key]
        a = _np(t)
        if list(a.shape) != e["shape"]:
            raise AssertionError(f"{key}: shape {list(a.shape)} but golden has {e['shape']}")
        mine, ref = sample(a, e["stride"]).astype(np.float64), self.value(key).astype(np.float64)
        d = float(np.abs(mine - ref).max()) if ref.size else 0.0
        std = float(self.arrays[key + "|s"][1]) if key + "|s" in self.arrays else 1.0
        l2 = stats(a)[4] - self.arrays[key + "|s"][4] if key + "|s" in self.arrays else 0.0
        return {
            "max_abs": d,
            "rel_std": d / max(std, 1e-12),
            "l2_diff": float(l2),
            "noise": e.get("noise", float("nan")),
        }

    def check(self, key: str, t, atol: float = 1e-4, rtol_std: Optional[float] = None):
        d = self.diff(key, t)
        bad = d["max_abs"] > atol if rtol_std is None else d["rel_std"] > rtol_std
        if bad:
            raise AssertionError(f"{key} ({self.meta['arrays'][key]['what']}): {d}")
        return d


def compare(a: Golden, b: Golden, top: int = 15):
    """Largest differences between two goldens of the same kind, e.g. of two environments."""
    rows = []
    for k in a.keys():
        if k not in b.meta["arrays"]:
            rows.append((float("inf"), 0.0, k + "  (missing)"))
            continue
        x, y = a.value(k).astype(np.float64), b.value(k).astype(np.float64)
        d = float(np.abs(x - y).max()) if x.size else 0.0
        std = float(a.arrays[k + "|s"][1]) if k + "|s" in a.arrays else 1.0
        rows.append((d, d / max(std, 1e-12), k))
    rows.sort(reverse=True)
    print(f"{len(rows)} arrays, {sum(r[0] == 0 for r in rows)} identical; largest differences:")
    for d, r, k in rows[:top]:
        print(f"  {d:.2e}  ({r:.1e} of its std)  {k}")


if __name__ == "__main__":  # python golden_io.py golden_tiny other/golden_tiny
    import sys

    compare(Golden.load(sys.argv[1]), Golden.load(sys.argv[2]))
