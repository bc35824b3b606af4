"""Weight files: read them without running what is in them, write them all or not at all."""

import os
import pickle
import re
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from san.errors import UserError
from san.files import atomic_path

_REFUSED = (".pkl", ".pickle")


def load_state_dict_file(path):
    """Parameter name -> tensor on the CPU; see :func:`read_checkpoint`."""
    return read_checkpoint(path)["model"]


def read_checkpoint(path, mapped=False):
    """Read a weight file: ``.safetensors``, or anything that ``torch.save`` wrote.

    With ``mapped``, tensors are the file's own pages, private and read when they are first used,
    where the format allows it; so the file must not be overwritten in place while they live.

    Returns a dict:
        "model": parameter name -> tensor on the CPU. The file is either such a dict itself or, as
            Detectron2 writes it, has one under this key; DistributedDataParallel's prefix
            ``module.`` is dropped.
        "metadata": str -> str, what the file says about itself; {} where it says nothing.
        and Detectron2's other entries ("trainer", "iteration", ...), where there are any.

    Nothing but tensors, numbers, strings and containers of these is unpickled. Raises a UserError
    for a missing, empty, truncated or foreign file, and for one with pickled objects.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weight file at {path}" + (": it is a folder" * path.is_dir()))
    if path.suffix in _REFUSED:
        raise UserError(
            f"{path} is a pickle file, which can run any program when it is read: use a .pth or "
            ".safetensors file"
        )
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: get or make it again")
    is_safetensors = path.suffix == ".safetensors"
    content = _read_safetensors(path) if is_safetensors else _read_torch(path, mapped)
    _check_tensors(content["model"], path)
    consume_prefix_in_state_dict_if_present(content["model"], "module.")
    return content


def save_weights(path, state_dict, metadata):
    """Write tensors and metadata (str -> str) to ``path``, as ``.safetensors`` or else ``.pth``."""
    with atomic_path(path, durable=True) as temporary:
        if Path(path).suffix == ".safetensors":
            tensors = {key: value.contiguous() for key, value in state_dict.items()}
            save_file(tensors, temporary, metadata=metadata)
        else:
            torch.save({"model": state_dict, "metadata": metadata}, temporary)


def is_complete(path):
    """Whether ``path`` is a file that ``torch.save`` finished: its index, at the end, is there."""
    return os.path.isfile(path) and zipfile.is_zipfile(path)


def _read_safetensors(path):
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            model = {name: file.get_tensor(name) for name in names}
            return {"model": model, "metadata": file.metadata() or {}}
    except SafetensorError as error:
        raise _unreadable(path, error) from None


def _read_torch(path, mapped):
    mapped = mapped and zipfile.is_zipfile(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise _refusal(path, error) from None
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    if not isinstance(content.get("model"), dict):
        content = {"model": content}
    metadata = content.get("metadata")
    return {**content, "metadata": metadata if isinstance(metadata, dict) else {}}


def _refusal(path, error):
    """The error for what torch would not unpickle."""
    objects = re.findall(r"GLOBAL (\S+)", str(error))  # the first of them
    if zipfile.is_zipfile(path):
        try:
            objects = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except pickle.UnpicklingError:  # neither can read protocols 4 and above
            return UserError(
                f"{path} was saved with a pickle protocol that cannot be read without running what "
                "is in it: save it again with torch.save's default protocol"
            )
    if not objects:
        return _unreadable(path, error)
    return UserError(
        f"{path} holds pickled objects ({', '.join(objects)}), which can run any program when they "
        "are read: save a state dict, that is, tensors by name"
    )


def _unreadable(path, error):
    reason = str(error).rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0]
    return UserError(
        f"{path} cannot be read ({reason or type(error).__name__}): it is truncated or no weight "
        "file; get or make it again"
    )


def _check_tensors(state_dict, path):
    foreign = [key for key, value in state_dict.items() if not isinstance(value, torch.Tensor)]
    if foreign or not state_dict:
        found = ", ".join(map(str, foreign[:10])) or "nothing"
        raise UserError(
            f"{path} is no checkpoint: expected tensors by name, or these under 'model'; found "
            f"{found}"
        )
