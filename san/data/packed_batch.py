"""A batch as one tensor and one string of bytes, for its way out of a data loader's worker.

A worker hands over every tensor by a file descriptor of its own, for which the training process
asks it over a socket: of a batch of 64 crops with their masks that takes longer than reading them.
"""

import io
import pickle
from dataclasses import dataclass

import torch

_ALIGNMENT = 16  # bytes: views of any dtype can begin there


@dataclass
class PackedBatch:
    """What `pack` gives.

    Attributes:
        structure (bytes): the batch, pickled, its tensors left out.
        layout (list[tuple]): offset in bytes, dtype and shape of each tensor.
        data (Tensor): (bytes,) uint8, all tensors one after the other.
    """

    structure: bytes
    layout: list
    data: torch.Tensor


def pack(batch):
    """Pack anything that can be pickled.

    Args:
        batch: with dense CPU tensors at any depth.

    Returns:
        PackedBatch
    """
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(batch)
    layout, size = [], 0
    for tensor in pickler.tensors:
        layout.append((size, tensor.dtype, tuple(tensor.shape)))
        size += -(-tensor.numel() * tensor.element_size() // _ALIGNMENT) * _ALIGNMENT
    packed = PackedBatch(stream.getvalue(), layout, torch.empty(size, dtype=torch.uint8))
    for tensor, view in zip(pickler.tensors, _views(packed), strict=True):
        view.copy_(tensor)
    return packed


def unpack(packed):
    """The batch of a `PackedBatch`; its tensors are views of one."""
    return _Unpickler(io.BytesIO(packed.structure), _views(packed)).load()


def _views(packed):
    views = []
    for offset, dtype, shape in packed.layout:
        size = torch.Size(shape).numel() * dtype.itemsize
        views.append(packed.data[offset : offset + size].view(dtype).view(shape))
    return views


class _Pickler(pickle.Pickler):
    """Leaves tensors out and keeps them in ``tensors``."""

    def __init__(self, stream):
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self.tensors = []

    def persistent_id(self, item):
        if not isinstance(item, torch.Tensor):
            return None
        self.tensors.append(item)
        return len(self.tensors) - 1


class _Unpickler(pickle.Unpickler):
    """Puts tensors back."""

    def __init__(self, stream, tensors):
        super().__init__(stream)
        self.tensors = tensors

    def persistent_load(self, index):
        return self.tensors[index]
