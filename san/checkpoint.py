"""Weights into models: strictly, from files of this package or of the official SAN.

A file fits a model or is refused, with the reason. What would change results without an error, a
CLIP built with the wrong activation, is refused too.
"""

import logging
from pathlib import Path

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import log_first_n
from torch import nn

import san.weights  # noqa: F401  (registers san://)
from san.errors import UserError
from san.files import atomic_path, leftovers
from san.fit import check_activation, check_fit
from san.modeling.text.text_cache import file_stamp
from san.name_map import is_official, to_official, to_san
from san.weight_file import is_complete, load_state_dict_file, read_checkpoint

__all__ = [
    "Checkpointer",
    "activation_of",
    "is_official",
    "load_state_dict_file",
    "load_weights",
    "local_path",
    "name_of_weights",
    "to_official",
    "to_san",
]

# Made from the config alone, so a model keeps its own: the number of training classes and the
# no-object weight of a file have no bearing on what is evaluated, and the config rules in training.
CONFIG_CONSTANTS = ("criterion.class_weight",)

logger = logging.getLogger(__name__)


def local_path(path_or_url):
    """Path on this machine of a path, ``san://NAME`` or URL, downloaded if need be."""
    try:
        return PathManager.get_local_path(str(path_or_url))
    except OSError as error:
        raise UserError(f"cannot get the weights {path_or_url}: {error}") from None


def load_weights(model, path_or_url):
    """Load all weights of a model, in place, from a file of this package or of the official SAN.

    Parameters on the CPU become pages of the file where their type is the same: what a model does
    not use, such as a text tower whose words are all cached, is not read. So the file must not be
    overwritten in place while the model lives; replacing it is safe.

    Raises a UserError where a parameter has no value, a value has no parameter, shapes differ, or
    the file was made with another activation of CLIP than the model's; then the model is unchanged.
    """
    path = Path(local_path(path_or_url))
    stamp = file_stamp(path) if path.is_file() else None  # before it is read: it may be replaced
    _load(model, read_checkpoint(path, mapped=True), path_or_url, _adopt)
    if classifier := getattr(model, "text_classifier", None):
        classifier.note_file(stamp)


def name_of_weights(cfg, model):
    """MODEL.WEIGHTS, or those of CLIP where they are all that a model has to know; "" for none."""
    if cfg.MODEL.WEIGHTS or any(parameter.requires_grad for parameter in model.parameters()):
        return cfg.MODEL.WEIGHTS
    return cfg.MODEL.SAN.CLIP_PRETRAINED_NAME


def activation_of(checkpoint):
    """CLIP activation that a checkpoint was trained with: "quick_gelu", "gelu" or None (unknown).

    ``checkpoint`` is what :func:`san.weight_file.read_checkpoint` gives. Official checkpoints do
    not say: the released ones, as all with OpenAI's CLIP, were trained with QuickGELU.
    """
    default = "quick_gelu" if is_official(checkpoint["model"]) else None
    return checkpoint["metadata"].get("clip_activation", default)


class Checkpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, strict, safe to read and safe to kill.

    Loading is that of :func:`load_weights`. Checkpoints are written atomically, in a form that
    ``torch.load(weights_only=True)`` reads, with the model's CLIP activation under "metadata".
    """

    def save(self, name, **kwargs):
        """Write ``name + ".pth"`` to ``save_dir``, on the main process only.

        Arguments are those of fvcore's Checkpointer. Raises a TypeError, and writes nothing, if
        some state holds objects that could not be read back.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict(), "metadata": _metadata(self.model)}
        data.update({key: item.state_dict() for key, item in self.checkpointables.items()})
        data.update(kwargs)
        folder = Path(self.path_manager.get_local_path(self.save_dir))
        _remove_leftovers(folder)
        self.logger.info("Saving checkpoint to %s", folder / f"{name}.pth")
        with atomic_path(folder / f"{name}.pth", durable=True) as temporary:
            torch.save(data, temporary)
            _check_readable(temporary)
        self.tag_last_checkpoint(f"{name}.pth")

    def tag_last_checkpoint(self, last_filename_basename):
        """Note which checkpoint to resume from."""
        folder = Path(self.path_manager.get_local_path(self.save_dir))
        with atomic_path(folder / "last_checkpoint", durable=True) as temporary:
            temporary.write_text(last_filename_basename)

    def load(self, path, checkpointables=None):
        """Load the model, and what else the checkpointer keeps, from a file, URL or ``san://NAME``.

        Args:
            path: empty: nothing is loaded.
            checkpointables: names whose state the file must have; None: all that it does have.

        Returns:
            dict: the other entries of the file, such as "iteration".
        """
        if not path:
            self.logger.info("No weights to load: the model stays as it was built")
            return {}
        self.logger.info("Loading %s", path)
        checkpoint = read_checkpoint(local_path(path))
        absent = [key for key in checkpointables or () if key not in checkpoint]
        if absent:
            raise UserError(
                f"{path} has no state of {', '.join(absent)}, so training cannot resume from it; "
                "to start from its weights, give it as MODEL.WEIGHTS and leave out --resume"
            )
        _load(self.model, checkpoint, path)
        del checkpoint["model"]
        for key in self.checkpointables if checkpointables is None else checkpointables:
            if key in checkpoint:
                self.checkpointables[key].load_state_dict(checkpoint.pop(key))
        return checkpoint

    def resume_or_load(self, path, *, resume=True):
        """Go on from the newest checkpoint of ``save_dir`` if there is one, else load ``path``.

        Resuming takes every state the checkpointer keeps; ``path`` gives the weights alone.
        """
        if resume and self.has_checkpoint():
            return self.load(self.get_checkpoint_file(), list(self.checkpointables))
        return self.load(path, checkpointables=[])

    def has_checkpoint(self):
        """Whether ``save_dir`` has a checkpoint to resume from."""
        return bool(self.get_checkpoint_file())

    def get_checkpoint_file(self):
        """Path of the checkpoint to resume from: the last one saved, else the newest whole one.

        "" where there is none. Broken ones are skipped with a warning; a UserError if all are.
        """
        candidates = self._candidates()
        for path in candidates:
            if is_complete(path):
                return str(path)
            log_first_n(logging.WARNING, f"Skipping the broken checkpoint {path}", key="message")
        if candidates:
            raise UserError(
                f"none of the checkpoints in {self.save_dir} can be read: "
                f"{', '.join(path.name for path in candidates)}; to start anew, leave out --resume "
                "or take another OUTPUT_DIR"
            )
        return ""

    def _candidates(self):
        folder = Path(self.path_manager.get_local_path(self.save_dir)) if self.save_dir else None
        if folder is None or not folder.is_dir():
            return []
        tag = folder / "last_checkpoint"
        tagged = [folder / tag.read_text().strip()] if tag.is_file() else []
        saved = sorted(folder.glob("model_*.pth"), key=lambda path: path.stat().st_mtime_ns)
        return tagged + [path for path in reversed(saved) if path not in tagged]


def _metadata(model):
    activation = getattr(model, "clip_activation", None)
    return {} if activation is None else {"clip_activation": activation}


def _remove_leftovers(folder):
    """Delete what killed saves left behind; only a process that saves here may do so."""
    for leftover in leftovers(folder, "*.pth"):
        leftover.unlink()


def _check_readable(path):
    objects = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    if objects:
        raise TypeError(
            f"this checkpoint could not be read back, for it holds {', '.join(sorted(objects))}: "
            "keep only tensors, numbers, strings, lists and dicts in every state_dict()"
        )


def _load(model, checkpoint, source, load=nn.Module.load_state_dict):
    """Load what ``read_checkpoint`` gave; ``source`` names it in messages."""
    own = model.state_dict()
    try:
        state_dict = checkpoint["model"]
        if is_official(state_dict):
            state_dict = to_san(state_dict)
        check_fit(state_dict, own, type(model).__name__, CONFIG_CONSTANTS)
        check_activation(activation_of(checkpoint), model)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    constants = {key: own[key] for key in CONFIG_CONSTANTS if key in own}
    for key, value in constants.items():
        if key in state_dict and not torch.equal(state_dict[key], value.cpu()):
            logger.info("%s: its %s is not used, the config makes it", source, key)
    weights = {key: value for key, value in state_dict.items() if key not in CONFIG_CONSTANTS}
    load(model, {**weights, **constants})


def _adopt(model, state_dict):
    """As ``load_state_dict``, but tensors are taken over where they can be, and not copied."""
    copied = dict(state_dict)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        value = state_dict[name]
        if (value.device, value.dtype) == (parameter.device, parameter.dtype):
            parameter.data = copied.pop(name)
    model.load_state_dict(copied, strict=False)  # the keys were compared before
