"""Import libraries without PyTorch's compilers, which are half of the time of a start.

A module of torchvision and one of timm import ``torch._dynamo``, with all of SymPy behind it, each
for one function that only code under `torch.compile` needs. While these two are executed, stand-ins
take its place; whoever needs the compiler later imports the real one. A module of Detectron2 and
one of fvcore hand what they define to ``torch.jit.script``, which is deprecated and says so: they
keep the Python as it is.
"""

import importlib
import sys
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from types import ModuleType

_COMPILER = "torch._dynamo"
_USERS = ("torchvision.ops.roi_align", "timm.models.naflexvit")
_SCRIPTED = ("detectron2.modeling.box_regression", "fvcore.nn.focal_loss")


class _WithoutCompiler(MetaPathFinder):
    """Finds these modules as ever, and has them executed among stand-ins."""

    def find_spec(self, name, path=None, target=None):
        if name in _SCRIPTED:
            execute = _execute_unscripted
        elif name in _USERS and _COMPILER not in sys.modules:
            execute = _execute_without_compiler
        else:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader.exec_module = partial(execute, spec.loader.exec_module)
        return spec


def _execute_unscripted(execute, module):
    jit = importlib.import_module("torch").jit
    script, jit.script = jit.script, _disable
    try:
        execute(module)
    finally:
        jit.script = script


def _execute_without_compiler(execute, module):
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
    """`torch.compiler.disable` or `torch.jit.script`: the function, or the class, as it is."""
    return (lambda function: function) if function is None else function


def _is_compile_supported(device_type):
    return importlib.import_module(f"{_COMPILER}.utils").is_compile_supported(device_type)


def install():
    """Put the finder first; once is enough."""
    if not any(isinstance(finder, _WithoutCompiler) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutCompiler())
