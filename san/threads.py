"""Threads that wait asleep: PyTorch on a CPU whose cores have other work too.

Each operation of PyTorch ends when its last thread has. By libgomp's default those that wait turn
in a loop first, 300,000 times, and keep the core that the last one may need: beside other programs
an image took 17 to 26 times as long (docs/performance.md).
"""

import os

SPIN_COUNT = "GOMP_SPINCOUNT"  # turns of the loop, of libgomp alone
BRIEF = "10000"


def wait_asleep(environment=os.environ):
    """Let threads of PyTorch that wait go to sleep, where PyTorch is imported after this.

    For commands, which own their process. What the environment says of waiting (OMP_WAIT_POLICY,
    GOMP_SPINCOUNT) has precedence.

    Args:
        environment (MutableMapping[str, str]): of this process, or of one to be started.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault(SPIN_COUNT, BRIEF)
