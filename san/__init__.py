"""Open-vocabulary segmentation with the Side Adapter Network, on Detectron2.

``import san`` loads neither PyTorch nor Detectron2: a public name is imported on first use.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from . import light_imports

__version__ = "0.1.0"

_HOME = {  # public name -> the module that defines it
    "Segmentation": "san.predictor",
    "Segmenter": "san.predictor",
    "UserError": "san.errors",
    "Vocabulary": "san.modeling.text.vocabulary",
    "add_san_config": "san.config",
    "load_config": "san.config",
}
__all__ = [
    "Segmentation",
    "Segmenter",
    "UserError",
    "Vocabulary",
    "__version__",
    "add_san_config",
    "load_config",
]


def __getattr__(name: str):
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'san' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _require_detectron2():
    """Raise an ImportError that says what to run if Detectron2 is not installed."""
    spec = find_spec("detectron2")
    if spec is not None and spec.origin is not None:  # a mere folder of that name has no origin
        return
    error = ImportError(
        "san needs Detectron2, which is not installed: run `python tools/install_detectron2.py` "
        "in san's repository, or build Detectron2 with `pip install --no-build-isolation "
        "'git+https://github.com/facebookresearch/detectron2.git'`."
    )
    # Commands import this package before any code could catch the error and show it without a
    # stack trace.
    if Path(sys.argv[0]).stem in ("san", "-m", "train_net", "demo"):
        sys.exit(f"error: {error}")
    raise error


_require_detectron2()
light_imports.install()
