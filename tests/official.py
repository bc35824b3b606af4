"""Official SAN state dicts for tests, from the key lists in tests/golden."""

import json
from pathlib import Path

import torch

from san.name_map import ATTN_MASK, causal_mask

GOLDEN = Path(__file__).parent / "golden"


def official_shapes(name):
    """Official name -> shape, in the official order. ``name``: "tiny", "b16" or "l14"."""
    shapes = json.loads((GOLDEN / f"keys_{name}.json").read_text(encoding="utf-8"))
    return {key: tuple(shape) for key, shape in shapes.items()}


def official_state_dict(name, dtype=torch.float32, device="cpu"):
    """Random weights under the official names (no values on the device "meta")."""
    generator = torch.Generator().manual_seed(0)
    state_dict = {}
    for key, shape in official_shapes(name).items():
        value = torch.empty(shape, dtype=dtype, device=device)
        state_dict[key] = value.normal_(generator=generator) if device == "cpu" else value
    state_dict[ATTN_MASK] = causal_mask(77, dtype)
    return state_dict
