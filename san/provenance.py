"""Where a result comes from: code, libraries, machine, and digests of what went in."""

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import torch

import san
from san.checkpoint import CONFIG_CONSTANTS

# Modules whose versions can change a figure
LIBRARIES = ("torch", "torchvision", "detectron2", "open_clip", "numpy", "PIL")
_ROOT = Path(san.__file__).resolve().parents[1]  # of the checkout, where there is one


def code_version(root=_ROOT):
    """Version of the package; in a Git checkout also its revision.

    Args:
        root (Path): folder of the checkout. A folder inside another checkout, as site-packages
            may be, has no revision of its own.

    Returns:
        dict: "san" (str); "revision" (str) and "dirty" (bool: a tracked file differs from the
        revision), None outside of a checkout or without Git.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    in_checkout = top is not None and Path(top).resolve() == Path(root).resolve()
    revision = _git(root, "rev-parse", "HEAD") if in_checkout else None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no") if revision else None
    dirty = None if changes is None else bool(changes)
    return {"san": san.__version__, "revision": revision, "dirty": dirty}


def _git(root, *args):
    """Output of a Git command, None where it fails."""
    command = ["git", "-C", str(root), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def library_versions():
    """Versions of Python, of LIBRARIES, and of the CUDA that PyTorch was built with.

    Returns:
        dict: of str; "cuda" is None for a PyTorch without it.
    """
    versions = {name: str(import_module(name).__version__) for name in LIBRARIES}
    return {"python": platform.python_version(), **versions, "cuda": torch.version.cuda}


def machine(device):
    """What the evaluation ran on.

    Args:
        device (str): MODEL.DEVICE.

    Returns:
        dict: "system", "cpu" (model name), "cores" (int), "threads" (int, of PyTorch), "gpu" (model
        name, None: the model ran on the CPU).
    """
    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
    }


def _cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def peak_memory():
    """Largest memory of this process so far, without its data loaders -> dict of float, in MB.

    "cpu": resident; None where the system does not tell. "gpu": allocated by PyTorch, None without.
    """
    try:
        import resource  # not on Windows
    except ImportError:
        resident = None
    else:
        unit = 1 if sys.platform == "darwin" else 1024  # bytes
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    used_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        "cpu": resident,
        "gpu": torch.cuda.max_memory_allocated() / 1e6 if used_gpu else None,
    }


def command_line():
    """The command of this process, as a shell takes it; of its program the file name alone."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def value_sha256(value):
    """Hexadecimal SHA-256 of a value of JSON types, in its canonical form (keys sorted)."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def weights_sha256(model):
    """Hexadecimal SHA-256 of a model's parameters and buffers, whatever file they came from.

    Goes over name, type, shape and bytes of every tensor of the state dict, sorted by name. What
    the config alone decides (`san.checkpoint.CONFIG_CONSTANTS`) is left out.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if name not in CONFIG_CONSTANTS:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
