"""Peaks of memory, and the rate of matrix products."""

import sys

import numpy as np
import pytest
import torch

from san.benchmark.matmul import matmul_rate
from san.benchmark.memory import peaks, reset_peak, resident

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot forget a peak")
def test_peak_since_the_reset():
    np.ones(300 << 17)  # 300 MiB, freed
    before = reset_peak(CPU)
    assert before >= resident() + 250
    start = resident()
    np.ones(100 << 17)
    found = peaks(CPU, before)
    assert start + 95 < found["cpu"] < start + 150
    assert found["gpu"] is None and found["process"] == before


def test_matmul_rate():
    assert 1e8 < matmul_rate(CPU, torch.float32) < 1e14
