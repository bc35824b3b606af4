"""What the OpenMP runtime of PyTorch says of its settings when it is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SEGMENT = """
import sys
from san.cli import main
main(["segment", "--input", "none.jpg", "--vocabulary", "sky", "--output", sys.argv[1]])
"""


def spin_count(tmp_path, *command, **environment):
    """GOMP_SPINCOUNT of the process of a command, which may fail."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_WAIT"))}
    environment = {**plain, "OMP_DISPLAY_ENV": "VERBOSE", "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    lines = [line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    if not lines:
        pytest.skip("PyTorch's OpenMP is not libgomp")
    return lines[0].split("'")[1]


TRAIN = [str(ROOT / "train_net.py"), "--help"]


def test_commands_wait_asleep(tmp_path):
    assert spin_count(tmp_path, *TRAIN) == "10000"
    assert spin_count(tmp_path, "-c", SEGMENT, str(tmp_path / "out")) == "10000"


def test_a_program_that_uses_the_package_decides_itself(tmp_path):
    assert spin_count(tmp_path, "-c", "import san.predictor") != "10000"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("GOMP_SPINCOUNT", "70", "70"), ("OMP_WAIT_POLICY", "passive", "0")],
)
def test_the_environment_has_precedence(tmp_path, name, value, expected):
    assert spin_count(tmp_path, *TRAIN, **{name: value}) == expected
