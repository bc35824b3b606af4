#!/usr/bin/env python3
"""Install Detectron2 0.6, in pure Python, into the interpreter that runs this script.

    python tools/install_detectron2.py [--wheel labgym-3.1.2-py3-none-any.whl]

Detectron2 is not on PyPI under its own name, and its repository compiles a C++ extension of which
this project needs nothing. The wheel labgym 3.1.2 on PyPI carries Detectron2 0.6 whole, as the
folder LabGym/detectron2 (Apache-2.0, Meta). This script takes that folder out, restores the import
prefix and installs the distribution `detectron2`, which `pip show` and `pip uninstall` know.
A Detectron2 that can be imported already is kept. Standard library only.
"""

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "labgym==3.1.2"
SHA256 = "a2900cff8a3fb508e1975f19b5f9abd9f261966db87b0c332697fb4138c1cb2b"
FOLDER = "LabGym/detectron2/"  # in the wheel
LICENSES = Path(__file__).resolve().parent / "detectron2_license"
DIST_INFO = "detectron2-0.6.dist-info"
METADATA = """\
Metadata-Version: 2.1
Name: detectron2
Version: 0.6
Summary: FAIR's platform for object detection and segmentation, in pure Python
Home-page: https://github.com/facebookresearch/detectron2
Author: FAIR
License: Apache-2.0
License-File: LICENSE
License-File: NOTICE
Requires-Python: >=3.7
Requires-Dist: Pillow>=7.1
Requires-Dist: matplotlib
Requires-Dist: pycocotools>=2.0.2
Requires-Dist: termcolor>=1.1
Requires-Dist: yacs>=0.1.8
Requires-Dist: tabulate
Requires-Dist: cloudpickle
Requires-Dist: tqdm>4.29.0
Requires-Dist: tensorboard
Requires-Dist: fvcore<0.1.6,>=0.1.5
Requires-Dist: iopath>=0.1.7
Requires-Dist: omegaconf>=2.1
Requires-Dist: hydra-core>=1.1
Requires-Dist: packaging

"""  # the note of origin follows
WHEEL = """\
Wheel-Version: 1.0
Generator: install_detectron2
Root-Is-Purelib: true
Tag: py3-none-any
"""
OTHER_WAYS = """\
What to do, one of:
  - download {package} on a machine with access to a package index,
      python -m pip download --no-deps --only-binary=:all: --python-version 3.10 {package}
    then run this script with --wheel and the path of that file;
  - build Detectron2 from its repository (needs a C++ compiler and PyTorch):
      pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'"""


class InstallError(Exception):
    """What was tried, what went wrong and what to do, in a few lines for the user."""


def find_installed() -> str | None:
    """Return "VERSION in FOLDER" of the Detectron2 that this interpreter imports, None if none.

    Raises InstallError if there is one, but it does not import.
    """
    spec = find_spec("detectron2")
    if spec is None or spec.origin is None:  # a mere folder of that name has no origin
        return None
    folder = Path(spec.origin).parent
    code = "import detectron2.engine; print(detectron2.__version__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if result.returncode != 0:
        raise InstallError(
            f"Detectron2 is installed in {folder}, but does not import:\n"
            f"  {last_line(result.stderr)}\n"
            "Install what it needs (`pip install -e .` in this repository brings all of it), or\n"
            f"remove it (`{sys.executable} -m pip uninstall detectron2`) and run this script again."
        )
    return f"{last_line(result.stdout)} in {folder}"


def last_line(text: str) -> str:
    """The last line of ``text`` that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "(no output)")


def download(folder: Path) -> Path:
    """Fetch the wheel with pip into ``folder`` and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    # The wheel asks for Python < 3.11, though the part used here runs on later ones.
    command += ["--only-binary=:all:", "--python-version", "3.10", "--dest", str(folder), PACKAGE]
    result = subprocess.run(command, capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        raise InstallError(
            f"{PACKAGE}, the wheel that carries Detectron2, could not be downloaded.\n"
            f"Tried: {' '.join(command)}\n"
            f"pip says: {last_line(result.stderr)}\n" + OTHER_WAYS.format(package=PACKAGE)
        )
    return wheels[0]


def check_hash(wheel: Path, sha256: str):
    """Raise InstallError unless ``wheel`` is a file with this SHA-256."""
    if not wheel.is_file():
        raise InstallError(f"--wheel {wheel}: there is no such file.")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != sha256:
        raise InstallError(
            f"{wheel} is not the expected file, so nothing was installed:\n"
            f"  expected sha256 {sha256}\n  it has          {digest}\n"
            + OTHER_WAYS.format(package=PACKAGE)
        )


def check_site_packages(site_packages: Path):
    """Raise InstallError if this script may not install into ``site_packages``."""
    managed = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()
    if sys.prefix == sys.base_prefix and managed:
        problem = "belongs to the operating system"
    elif not os.access(site_packages, os.W_OK):
        problem = f"cannot be written to ({site_packages})"
    else:
        return
    raise InstallError(
        f"The Python {sys.executable} {problem}.\n"
        "Use a virtual environment: python3 -m venv .venv && "
        ".venv/bin/python tools/install_detectron2.py"
    )


def unpack(wheel: Path, stage: Path):
    """Write the package ``detectron2`` and its dist-info folder to ``stage``."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.startswith(FOLDER) or name.endswith("/"):
                continue
            content = archive.read(name)
            if name.endswith(".py"):
                content = content.replace(b"LabGym.detectron2", b"detectron2")
            target = stage / "detectron2" / name[len(FOLDER) :]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    dist_info = stage / DIST_INFO
    dist_info.mkdir()
    origin = (LICENSES / "NOTICE").read_text(encoding="utf-8")
    (dist_info / "METADATA").write_text(METADATA + origin, encoding="utf-8")
    (dist_info / "WHEEL").write_text(WHEEL, encoding="utf-8")
    (dist_info / "INSTALLER").write_text("pip\n", encoding="utf-8")
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(LICENSES / name, dist_info / name)
    write_record(stage)


def write_record(stage: Path):
    """Write RECORD: the path, hash and size of every installed file, for pip uninstall."""
    lines = []
    for path in sorted(p for p in stage.rglob("*") if p.is_file()):
        content = path.read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        lines.append(f"{path.relative_to(stage).as_posix()},sha256={digest},{len(content)}")
    lines.append(f"{DIST_INFO}/RECORD,,")
    (stage / DIST_INFO / "RECORD").write_text("\n".join(lines) + "\n", encoding="utf-8")


def install(wheel: Path, sha256: str) -> Path:
    """Install Detectron2 from the labgym ``wheel`` and return its folder.

    Everything is made in a folder beside its place and renamed into it: a run that is cut short
    leaves no Detectron2, and the next run starts afresh.
    """
    check_hash(wheel, sha256)
    site_packages = Path(sysconfig.get_path("purelib"))
    check_site_packages(site_packages)
    stage = site_packages / ".detectron2-partial"
    for leftover in (stage, site_packages / DIST_INFO):
        shutil.rmtree(leftover, ignore_errors=True)
    stage.mkdir()
    try:
        unpack(wheel, stage)
        (stage / DIST_INFO).rename(site_packages / DIST_INFO)
        (stage / "detectron2").rename(site_packages / "detectron2")
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return site_packages / "detectron2"


def main() -> int:
    """Keep or install Detectron2; exit status 1 and a few lines on stderr if that fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wheel", type=Path, help="a downloaded labgym-3.1.2-py3-none-any.whl")
    args = parser.parse_args()
    try:
        installed = find_installed()
        if installed is not None:
            print(f"Detectron2 {installed} is kept.")
            return 0
        with tempfile.TemporaryDirectory() as folder:
            target = install(args.wheel or download(Path(folder)), SHA256)
    except (InstallError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Detectron2 0.6 is installed in {target}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
