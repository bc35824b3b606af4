"""How much a computation keeps for its backward pass."""

import torch


def saved_bytes(function, *inputs):
    """Bytes of the tensors that ``function(*inputs)`` saves, each storage once."""
    storages = {}

    def note(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = function(*inputs)
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
