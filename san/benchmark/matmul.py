"""The machine's own rate of matrix products, what the network's rate is compared with."""

import statistics

import torch

from .clock import Clock

_SIDE = {"cpu": 1024, "cuda": 8192}
_REPEATS = 5


def matmul_rate(device, dtype):
    """FLOP per second of a product of square matrices, median of 5 after one to warm up.

    Args:
        device (torch.device)
        dtype (torch.dtype)
    """
    side = _SIDE.get(device.type, 4096)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(_REPEATS + 1):
        clock = Clock(device)
        a @ b
        times.append(clock.stop()["total"])
    return 2 * side**3 / statistics.median(times[1:])
