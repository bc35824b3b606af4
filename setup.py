"""Package metadata. constraints.txt has the exact versions that the tests run with."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# Detectron2 is not in this list: it is not on PyPI under its own name, and pip refuses to
# publish a package with a requirement given by URL. tools/install_detectron2.py installs it.
# What Detectron2 0.6 itself needs at run time is in the list, so that one pip command resolves all.
INSTALL_REQUIRES = [
    "fvcore>=0.1.5,<0.1.6",
    "iopath>=0.1.7,<0.2",
    "jinja2>=3.1,<4",
    "numpy>=1.26,<3",
    "open_clip_torch>=3.0,<4",
    "opencv-python-headless>=4.8,<6",  # needs no libGL, which servers and containers lack
    "pillow>=10.1,<14",
    "pycocotools>=2.0.7,<3",
    "pyyaml>=6.0,<7",
    "safetensors>=0.4,<1",
    "scipy>=1.11,<2",
    "torch>=2.6,<2.15",
    "torchvision>=0.21,<0.30",
    "tqdm>=4.60,<5",
    # Detectron2's own:
    "cloudpickle>=2.0,<4",
    "hydra-core>=1.1,<2",
    "matplotlib>=3.7,<4",
    "omegaconf>=2.1,<2.4",
    "packaging>=21.0",
    "tabulate>=0.8,<1",
    "tensorboard>=2.14,<3",
    "termcolor>=2.0,<4",
    "yacs>=0.1.8,<0.2",
]
EXTRAS_REQUIRE = {
    "demo": ["matplotlib>=3.7,<4"],  # its font, in overlays
    "dev": [
        "codespell>=2.3",
        "pre-commit>=3.5",
        "pytest>=8.0",
        "pytest-xdist>=3.5",
        "ruff>=0.9",
        "timm>=1.0,<2",  # its blocks are compared with
    ],
    "wandb": ["wandb>=0.16"],
}


class BuildWithConfigs(build_py):
    """build_py that copies configs/ and expected/ into san: a wheel has no working copy."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for folder in ("configs", "expected"):
                target = Path(self.build_lib) / "san" / folder
                shutil.copytree(ROOT / folder, target, dirs_exist_ok=True)


def read_version() -> str:
    """``__version__`` of san/__init__.py, read as text: importing needs Detectron2."""
    source = (ROOT / "san" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE).group(1)


setup(
    name="san",
    version=read_version(),
    description="Open-vocabulary segmentation with the Side Adapter Network, on Detectron2",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    author="The SAN developers",
    python_requires=">=3.10",
    packages=find_packages(include=["san", "san.*"]),
    package_data={"san": ["**/*.html", "**/*.json", "**/*.safetensors", "**/*.txt", "**/*.yaml"]},
    cmdclass={"build_py": BuildWithConfigs},
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={"console_scripts": ["san = san.cli:main"]},
)
