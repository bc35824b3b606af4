"""A tiny SAN that trains on miniature data, for the tests of training and evaluation."""

import torch

from san.config import load_config
from tests.parity import build_filled

CONFIG = "configs/quick/san_tiny.yaml"
TRAINED = ("side_adapter.", "mask_decoder.")
TRAINED_NAMES = ("clip.positional_embedding", "text_classifier.no_object_embed")


def save_weights(path):
    """Write weights under official names; with them, unlike fresh ones, proposals differ."""
    torch.save(build_filled("tiny")[1], path)


def tiny_options(weights, output_dir):
    """KEY VALUE pairs: these weights, small steps of work, no evaluation."""
    return [
        *("MODEL.WEIGHTS", str(weights), "MODEL.SAN.CLIP_ACTIVATION", "quick_gelu"),
        *("OUTPUT_DIR", str(output_dir), "DATASETS.TEST", "()", "SOLVER.MAX_ITER", "6"),
    ]


def tiny_config(weights, output_dir, *opts):
    """The config of `tiny_options` and of more KEY VALUE pairs."""
    return load_config(CONFIG, [*tiny_options(weights, output_dir), *map(str, opts)])


def is_trained(name):
    """Whether the published recipe trains the parameter ``name``."""
    return name.startswith(TRAINED) or name in TRAINED_NAMES


def assert_same_bits(ours, theirs, where="state"):
    """Equality of nested dicts and lists, to the last bit of every tensor."""
    assert type(ours) is type(theirs), where
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), where
        for key in ours:
            assert_same_bits(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), where
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_same_bits(a, b, f"{where}[{index}]")
    elif isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs), where
    else:
        assert ours == theirs, where
