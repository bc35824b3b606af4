"""Import libraries without what no model of this package needs: half of the time of a start.

A module of torchvision imports ``torch._dynamo``, with all of SymPy behind it, for one function
that only code under `torch.compile` needs. While it is executed, a stand-in takes its place;
whoever needs the compiler later imports the real one. open_clip imports timm, with its hundreds of
models, for towers of timm's: they bring it with them when the first is built. A module of
Detectron2 and one of fvcore hand what they define to ``torch.jit.script``, which is deprecated and
says so: they keep the Python as it is.
"""

import importlib
import sys
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from types import ModuleType

_COMPILER = "torch._dynamo"
_USER = "torchvision.ops.roi_align"
_TIMM_TOWERS = "open_clip.timm_model"
_SCRIPTED = ("detectron2.modeling.box_regression", "fvcore.nn.focal_loss")


class _Finder(MetaPathFinder):
    """Finds these modules as ever, and has them executed in another way."""

    def find_spec(self, name, path=None, target=None):
        if name in _SCRIPTED:
            execute = _execute_unscripted
        elif name == _USER and _COMPILER not in sys.modules:
            execute = _execute_without_compiler
        elif name == _TIMM_TOWERS and "timm" not in sys.modules:
            execute = _execute_when_needed
        else:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader.exec_module = partial(execute, spec.loader.exec_module)
        return spec


def _execute_unscripted(execute, module):
    jit = importlib.import_module("torch").jit
    script, jit.script = jit.script, _keep
    try:
        execute(module)
    finally:
        jit.script = script


def _execute_without_compiler(execute, module):
    compiler, utils = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    compiler.utils = utils
    utils.is_compile_supported = _is_compile_supported
    stand_ins = {stand_in.__name__: stand_in for stand_in in (compiler, utils)}
    sys.modules.update(stand_ins)
    try:
        execute(module)
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _is_compile_supported(device_type):
    return importlib.import_module(f"{_COMPILER}.utils").is_compile_supported(device_type)


def _execute_when_needed(execute, module):
    class TimmModel:
        """A tower of timm's: the first one that is built brings the real class."""

        def __new__(cls, *args, **kwargs):
            if module.TimmModel is cls:
                execute(module)
            return module.TimmModel(*args, **kwargs)

    module.TimmModel = TimmModel


def _keep(function, *args, **kwargs):
    """`torch.jit.script`: the function, or the class, as it is."""
    return function


def install():
    """Put the finder first; once is enough."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
