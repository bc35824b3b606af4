"""What a run does, whatever the mood of the machine: FLOPs, operator calls, bytes of tensors."""

import contextlib
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_aten = torch.ops.aten


def _attention(query, key, value, *args, **kwargs):
    return sdpa_flop_count(query, key, value)


def _attention_backward(grad, query, key, value, *args, **kwargs):
    return sdpa_backward_flop_count(grad, query, key, value)


def _matrix_vector(matrix, vector, *args, **kwargs):
    return 2 * matrix[0] * matrix[1]


# What PyTorch's own counter leaves out: shapes -> FLOPs
_FORMULAS = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    _aten.mv: _matrix_vector,
}


class Counters:
    """Counts one run; used as a context around it, in eager mode and not in inference mode.

    FLOPs are those of matrix products, convolutions and attention, 2 for a multiply-add. Bytes are
    those of tensors that the run makes and that are alive at once; what an operator needs inside of
    itself, and what was there before, is not among them.
    """

    def __init__(self):
        self._flops = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
        self._operators = _Operators()
        self._stages = {}

    def __enter__(self):
        self._flops.__enter__()  # first, to see what the other lets through, decomposed or not
        self._operators.__enter__()
        return self

    def __exit__(self, *error):
        self._operators.__exit__(*error)
        self._flops.__exit__(*error)

    @contextlib.contextmanager
    def stage(self, name, host=False):
        """What the block does counts for ``name``, added to what it has already."""
        flops, calls = self._flops.get_total_flops(), self._operators.calls
        yield
        counts = self._stages.setdefault(name, {"flops": 0, "calls": 0})
        counts["flops"] += self._flops.get_total_flops() - flops
        counts["calls"] += self._operators.calls - calls

    def results(self):
        """Counts so far -> {stage: {"flops", "calls"}}; "total" has "peak_bytes" too."""
        total = {
            "flops": self._flops.get_total_flops(),
            "calls": self._operators.calls,
            "peak_bytes": self._operators.peak,
        }
        return {**self._stages, "total": total}


class _Operators(TorchDispatchMode):
    """Counts operators that reach the backend, and follows the memory of what they make."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.peak = self._live = 0  # bytes
        self._tracked = set()  # addresses of storages

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = {storage._cdata for storage in _storages((args, kwargs))}
        result = func(*args, **kwargs)
        self.calls += 1
        for storage in _storages(result):
            # What was given comes back from views and from changes in place
            if storage._cdata not in given and storage._cdata not in self._tracked:
                self._track(storage)
        return result

    def _track(self, storage):
        size = storage.nbytes()
        self._live += size
        self.peak = max(self.peak, self._live)
        self._tracked.add(storage._cdata)
        weakref.finalize(storage, self._release, storage._cdata, size)

    def _release(self, address, size):
        self._live -= size
        self._tracked.discard(address)


def _storages(tree):
    return [x.untyped_storage() for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]
