"""Memory of a process: what it holds now, and the most it held since the last reset."""

import contextlib
import sys
from pathlib import Path

import torch

MIB = 2**20  # bytes
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident():
    """Resident memory in MiB now; None where the system does not tell."""
    return _status("VmRSS")


def reset_peak(device):
    """Forget earlier peaks, as far as the system can -> the one of resident memory, MiB or None."""
    before = _peak()
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # Linux: the high-water mark becomes what is resident now
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return before


def peaks(device, before):
    """Largest memory, in MiB or None.

    Args:
        before (float | None): what :func:`reset_peak` gave.

    Returns:
        dict: since the reset, "cpu" resident, "gpu" allocated by PyTorch (None on a CPU);
        "process": resident, of all time.
    """
    since = _peak()
    gpu = torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else None
    return {"cpu": since, "gpu": gpu, "process": since and max(since, before)}


def _peak():
    return _status("VmHWM") or _max_resident()


def _max_resident():
    """As ``resource`` has it, MiB; on Linux that begins with the peak of the parent process."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def _status(key):
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    values = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(values[0]) / 1024 if values else None
