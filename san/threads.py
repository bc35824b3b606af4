"""Threads that wait asleep: PyTorch on a CPU whose cores have other work too.

Each operation of PyTorch ends when its last thread has. Those that wait turn in a loop for about a
millisecond first, by libgomp's default, and keep the core that the last one needs: beside other
programs an image takes 17 to 26 times as long (docs/performance.md).
"""

import os

SPIN_COUNT = "GOMP_SPINCOUNT"  # turns of the loop, of libgomp alone
BRIEF = "1000"  # some microseconds


def wait_asleep(environment=os.environ):
    """Let threads of PyTorch that wait go to sleep, where PyTorch is imported after this.

    For commands, which own their process. What the environment says of waiting (OMP_WAIT_POLICY,
    GOMP_SPINCOUNT) has precedence.

    Args:
        environment (MutableMapping[str, str]): of this process, or of one to be started.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault(SPIN_COUNT, BRIEF)
