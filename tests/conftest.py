"""Every test starts from the same seeds and takes its share of the machine's cores."""

import logging
import os
import random
import signal

# Read by PyTorch when it is imported, here and in the processes that tests start. Not in the
# process that starts the workers: they would inherit its number, which is for the whole machine.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    _THREADS = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(_THREADS))
os.environ["SAN_TEXT_CACHE"] = "0"  # no test depends on what another run left in the user's folder
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs have it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests interrupt what they start

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _restore_loggers():
    """A command under test sets up logging for its process; the next test starts without."""
    loggers = [logging.getLogger(name) for name in ("san", "detectron2", "fvcore")]
    before = [(logger.level, logger.propagate, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers
