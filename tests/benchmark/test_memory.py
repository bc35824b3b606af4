"""Peaks of memory, and the rate of matrix products."""

import subprocess
import sys

import pytest
import torch

from san.benchmark.matmul import matmul_rate

CPU = torch.device("cpu")
# In a process of its own: memory that other tests have freed could be used again
PEAKS = """
import numpy as np
import torch
from san.benchmark.memory import peaks, reset_peak, resident

cpu = torch.device("cpu")
np.ones(300 << 17)  # 300 MiB, freed
before = reset_peak(cpu)
assert before >= resident() + 250
start = resident()
np.ones(100 << 17)
found = peaks(cpu, before)
assert start + 95 < found["cpu"] < start + 150, (start, found)
assert found["gpu"] is None and found["process"] == before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot forget a peak")
def test_peak_since_the_reset():
    subprocess.run([sys.executable, "-c", PEAKS], check=True)


def test_matmul_rate():
    assert 1e8 < matmul_rate(CPU, torch.float32) < 1e14
