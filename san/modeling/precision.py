"""A trained network in a lower precision: faster on a GPU, and on a CPU that multiplies in it."""

import torch
from torch import nn

from san.errors import UserError

DTYPES = {d: getattr(torch, d) for d in ("float32", "bfloat16", "float16")}  # of TEST.DTYPE
# What multiplies by its weights
_PRODUCTS = (nn.Linear, nn.Conv2d, nn.MultiheadAttention)


def compute_in(model, dtype):
    """Let a segmentor compute its network in ``dtype`` from now on; it cannot be trained after.

    Matrix products, convolutions and attention run in it, as under autocast, which then finds
    their weights converted: to convert those of ViT-B/16 for each image takes a CPU 47 ms, their
    products 67. Text embeddings, classes of proposals and label maps stay float32.

    Args:
        model (OpenVocabSegmentor)
        dtype (str): one of DTYPES.

    Raises:
        UserError: another one.
    """
    if dtype not in DTYPES:
        raise UserError(f"TEST.DTYPE is {dtype!r}; it can be {', '.join(map(repr, DTYPES))}")
    dtype = DTYPES[dtype]
    if dtype == torch.float32:
        return
    for name, part in model.named_children():
        if name != "text_classifier":
            for layer in part.modules():
                _convert(layer, dtype)
    model.forward = torch.autocast(model.device.type, dtype)(model.forward)


def _convert(layer, dtype):
    if isinstance(layer, _PRODUCTS):
        for parameter in layer.parameters(recurse=False):
            if parameter.numel() > 1:  # scale and offset of the attention biases are scalars
                parameter.data = parameter.data.to(dtype)
