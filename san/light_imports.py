"""Import torchvision and timm without PyTorch's compiler, which is half of the time of a start.

Two of their modules import ``torch._dynamo``, with all of SymPy behind it, each for one function
that only code under `torch.compile` needs. While these two are executed, stand-ins take its place;
whoever needs the compiler later imports the real one.
"""

import importlib
import sys
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from types import ModuleType

_COMPILER = "torch._dynamo"
_USERS = ("torchvision.ops.roi_align", "timm.models.naflexvit")


class _WithoutCompiler(MetaPathFinder):
    """Finds the two modules as ever, and has them executed among stand-ins."""

    def find_spec(self, name, path=None, target=None):
        if name not in _USERS or _COMPILER in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader.exec_module = partial(_execute, spec.loader.exec_module)
        return spec


def _execute(execute, module):
    compiler, utils = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    compiler.utils = utils
    compiler.disable = _disable
    utils.is_compile_supported = _is_compile_supported
    stand_ins = {stand_in.__name__: stand_in for stand_in in (compiler, utils)}
    sys.modules.update(stand_ins)
    try:
        execute(module)
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _disable(function=None, *args, **kwargs):
    """`torch.compiler.disable` for a module that nobody compiles: the function as it is."""
    return (lambda function: function) if function is None else function


def _is_compile_supported(device_type):
    return importlib.import_module(f"{_COMPILER}.utils").is_compile_supported(device_type)


def install():
    """Put the finder first; once is enough."""
    if not any(isinstance(finder, _WithoutCompiler) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutCompiler())
