"""Builds CLIP (Radford et al., arXiv 2103.00020) with open_clip, by name.

The activation is part of the weights: OpenAI's CLIP, and so every published SAN, was trained with
QuickGELU, x * sigmoid(1.702 x). open_clip builds plain GELU for the same names, and weights load
into either without a word; here the activation always follows the weights.
"""

import copy
import difflib
import json
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from san.errors import UserError
from san.weights import weights_path

MODEL_CONFIGS = Path(__file__).parents[2] / "model_configs"
_SUFFIX = "-quickgelu"
_STEEPNESS = 1.702  # of QuickGELU


class QuickGeluMlp(nn.Sequential):
    """A block's MLP with QuickGELU, x * sigmoid(1.702 x) = SiLU(1.702 x) / 1.702.

    Both factors are part of the matrix products before and after, where they cost nothing, and the
    backward pass needs one tensor and not two.

    Args:
        mlp (nn.Sequential): of an open_clip block; its layers are used, not copied.
    """

    def __init__(self, mlp):
        super().__init__(OrderedDict(c_fc=mlp.c_fc, c_proj=mlp.c_proj))

    def forward(self, x):
        """x (..., E) -> (..., E)."""
        rows = x.flatten(0, -2)
        weight = self.c_fc.weight.T  # (E, 4 E)
        rows = torch.addmm(self.c_fc.bias, rows, weight, beta=_STEEPNESS, alpha=_STEEPNESS)
        rows = F.silu(rows, inplace=not torch.is_grad_enabled())  # (rows, 4 E)
        rows = torch.addmm(self.c_proj.bias, rows, self.c_proj.weight.T, alpha=1 / _STEEPNESS)
        return rows.view(x.shape)


class BuiltClip(NamedTuple):
    """A CLIP model and what must be known to use it."""

    model: open_clip.CLIP
    activation: str  # "quick_gelu" or "gelu"
    pixel_mean: tuple  # RGB, of pixel values 0..1
    pixel_std: tuple
    tokenizer: open_clip.SimpleTokenizer


def build_clip(name, pretrained="", activation="auto", load_weights=True):
    """Build CLIP ``name`` in float32 on the CPU.

    Args:
        name (str): open_clip's name, with "/" or "-", or the name of a file in san/model_configs.
        pretrained (str): open_clip's tag, a file of weights, ``san://NAME`` (see
            `san.weights.CLIPS`), or "" for random weights.
        activation (str): "quick_gelu", "gelu" or "auto", that of the pretrained weights; with none,
            that of the model config or, for a name of open_clip, OpenAI's QuickGELU.
        load_weights (bool): False leaves all weights without values, for a checkpoint that has them
            all.

    Raises:
        UserError: a name, tag or file that does not exist, weights whose activation is unknown or
            another than asked for, a model that is no plain CLIP with two transformers.
    """
    name = name.replace("/", "-")
    config = _model_config(name)
    if pretrained.startswith("san://"):
        pretrained = str(weights_path(pretrained.removeprefix("san://")))
    tag = open_clip.get_pretrained_cfg(name.removesuffix(_SUFFIX), pretrained) if pretrained else {}
    tag = tag or (open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {})
    activation = _resolve_activation(name, config, pretrained, tag, activation)
    config["quick_gelu"] = activation == "quick_gelu"
    model = open_clip.CLIP(**config) if load_weights else _without_values(config)
    for block in [*model.visual.transformer.resblocks, *model.transformer.resblocks]:
        if activation == "quick_gelu":
            block.mlp = QuickGeluMlp(block.mlp)
    if pretrained and load_weights:
        _load(model, name, pretrained, tag)
    return BuiltClip(
        model,
        activation,
        tuple(tag.get("mean") or open_clip.OPENAI_DATASET_MEAN),
        tuple(tag.get("std") or open_clip.OPENAI_DATASET_STD),
        clip_tokenizer(name),
    )


def clip_tokenizer(name):
    """Tokenizer of CLIP ``name``: texts, cut at its context length -> (n, context) int64 tensor.

    Raises:
        UserError: see :func:`build_clip`.
    """
    text_config = _model_config(name.replace("/", "-"))["text_cfg"]
    tokenizer = copy.copy(open_clip.tokenizer._tokenizer)  # a new one takes 0.15 s
    tokenizer.context_length = text_config.get("context_length", 77)
    return tokenizer


def clip_image_size(name):
    """Side in pixels of the square images that CLIP ``name`` takes.

    Raises:
        UserError: see :func:`build_clip`.
    """
    return _model_config(name.replace("/", "-"))["vision_cfg"]["image_size"]


def clip_patch_size(name):
    """Side in pixels of the square patches that CLIP ``name`` cuts images into.

    Raises:
        UserError: see :func:`build_clip`.
    """
    return _model_config(name.replace("/", "-"))["vision_cfg"]["patch_size"]


def _model_config(name):
    """open_clip's model config (a copy), or one of ours."""
    file = MODEL_CONFIGS / f"{name}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    config = open_clip.get_model_config(name)
    if config is None:
        names = [path.stem for path in MODEL_CONFIGS.glob("*.json")] + open_clip.list_models()
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        raise UserError(
            f"MODEL.SAN.CLIP_MODEL_NAME: there is no CLIP model {name!r}; close: {', '.join(close)}"
        )
    plain = isinstance(config["vision_cfg"].get("layers"), int)  # not a ResNet
    extra = set(config) - {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
    foreign = {"timm_model_name", "hf_model_name", "hf_tokenizer_name"}
    if not plain or extra or foreign & {*config["vision_cfg"], *config["text_cfg"]}:
        raise UserError(
            f"MODEL.SAN.CLIP_MODEL_NAME: {name!r} is not a CLIP of two plain transformers, as "
            "ViT-B-16, ViT-L-14 or ViT-L-14-336 are"
        )
    return copy.deepcopy(config)


def _resolve_activation(name, config, pretrained, tag, asked):
    if asked not in ("auto", "quick_gelu", "gelu"):
        raise UserError(
            f"MODEL.SAN.CLIP_ACTIVATION is {asked!r}; it can be 'auto', 'quick_gelu' or 'gelu'"
        )
    known = _activation_of_weights(name, config, pretrained, tag)
    if asked == "auto":
        if known is None:
            raise UserError(
                f"MODEL.SAN.CLIP_ACTIVATION is 'auto', but the file {pretrained!r} does not tell "
                "its activation; set 'quick_gelu' (weights of OpenAI, MetaCLIP, DFN) or 'gelu' "
                "(weights trained on LAION or DataComp)"
            )
        return known
    if pretrained and known not in (None, asked):
        raise UserError(
            f"MODEL.SAN.CLIP_ACTIVATION is {asked!r}, but {pretrained!r} weights of {name} were "
            f"trained with {known!r}; set 'auto'"
        )
    return asked


def _activation_of_weights(name, config, pretrained, tag):
    """ "quick_gelu", "gelu", or None where nothing tells."""
    if tag:
        return "quick_gelu" if tag.get("quick_gelu") else "gelu"
    noted = _noted_activation(pretrained)
    if noted:
        return noted
    if (MODEL_CONFIGS / f"{name}.json").is_file():
        return "quick_gelu" if config.get("quick_gelu") else "gelu"
    if not pretrained or name.endswith(_SUFFIX) or _is_torchscript(pretrained):
        return "quick_gelu"  # TorchScript archives are OpenAI's own files
    return None


def _noted_activation(path):
    """What the metadata of a .safetensors file say, as our own training writes them; or None."""
    if not path.endswith(".safetensors"):
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("clip_activation")
    except (OSError, SafetensorError):
        return None  # loading tells what is wrong


def _is_torchscript(path):
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("/constants.pkl") for entry in archive.namelist())


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves a tensor as it is where it would be filled with random numbers.

    The device "meta" would do as well, but imports PyTorch's compiler, which takes seconds.
    """

    FILLS = ("normal_", "uniform_", "kaiming_uniform_")

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.__name__ in self.FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _without_values(config):
    """A CLIP that takes no time to fill, and no memory for what is never loaded or used."""
    with _NoRandomNumbers():
        return open_clip.CLIP(**config)


def _load(model, name, pretrained, tag):
    """Load a tag's weights, downloaded by open_clip, or those of a file, into ``model``."""
    if tag:
        try:
            path = open_clip.download_pretrained(tag)
        except Exception as error:  # whatever the hub, the server or the network raised
            raise UserError(
                f"MODEL.SAN.CLIP_PRETRAINED_NAME: weights {pretrained!r} of {name} could not be "
                f"downloaded ({error}); set the key to a local file of them, or give "
                "MODEL.WEIGHTS, which holds CLIP too"
            ) from error
    elif Path(pretrained).is_file():
        path = pretrained
    else:
        tags = open_clip.list_pretrained_tags_by_model(name.removesuffix(_SUFFIX))
        raise UserError(
            f"MODEL.SAN.CLIP_PRETRAINED_NAME: {pretrained!r} is neither a file nor a tag of {name} "
            f"({', '.join(tags) or 'which has none'})"
        )
    try:
        if _is_torchscript(path):
            _load_torchscript(model, path)
        else:
            open_clip.load_checkpoint(model, path)
    except Exception as error:  # pickle, zip, safetensors and torch errors alike
        raise UserError(f"CLIP weights {path} do not load into {name}: {error}") from error


def _load_torchscript(model, path):
    """OpenAI's archives: float16 tensors under open_clip's own names, and three constants."""
    state_dict = torch.jit.load(path, map_location="cpu").state_dict()
    for constant in ("input_resolution", "context_length", "vocab_size"):
        state_dict.pop(constant, None)
    model.load_state_dict(state_dict)
