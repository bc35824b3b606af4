"""tools/install_detectron2.py, run in virtual environments of its own, on a small wheel."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
FILES = {
    "LabGym/__init__.py": "raise ImportError('not a part of Detectron2')\n",
    "LabGym/detectron2/__init__.py": '__version__ = "0.6"\n',
    "LabGym/detectron2/engine/__init__.py": (
        "import LabGym.detectron2.utils.comm as comm\n"
        "from LabGym.detectron2.utils.comm import get_rank\n"
    ),
    "LabGym/detectron2/utils/__init__.py": "",
    "LabGym/detectron2/utils/comm.py": ('def get_rank():\n    return "LabGym.detectron2.utils"\n'),
    "LabGym/detectron2/model_zoo/configs/Base.yaml": "VERSION: 2\n",
    "labgym-3.1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: labgym\nVersion: 3.1.2\n",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel with the layout of labgym's and a Detectron2 of five files."""
    path = tmp_path_factory.mktemp("wheel") / "labgym-3.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def python(tmp_path):
    """The interpreter of a fresh virtual environment without pip or any package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return tmp_path / "venv" / "bin" / "python"


def run(python, *args):
    command = [str(python), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(python).parent)


def install(python, wheel):
    """Run the script with ``wheel``, whose hash is taken to be the expected one."""
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    code = (
        f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import install_detectron2 as tool;"
        f"tool.SHA256 = {sha256!r}; sys.argv[1:] = ['--wheel', {str(wheel)!r}];"
        "sys.exit(tool.main())"
    )
    return run(python, "-c", code)


def pip(python, *args):
    """This environment's pip, at work on the environment of ``python``."""
    return run(sys.executable, "-m", "pip", "--python", python, *args)


def site_packages(python):
    return next((Path(python).parents[1] / "lib").glob("python3.*/site-packages"))


def test_restores_the_import_prefix(python, wheel):
    result = install(python, wheel)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Detectron2 0.6 is installed in" in result.stdout
    code = "import detectron2.engine as e; print(e.comm.__name__, e.get_rank())"
    assert run(python, "-c", code).stdout == "detectron2.utils.comm detectron2.utils\n"
    folder = site_packages(python)
    assert (folder / "detectron2/model_zoo/configs/Base.yaml").read_text() == "VERSION: 2\n"
    assert not any("labgym" in path.name.lower() for path in folder.rglob("*"))


def test_pip_knows_the_distribution(python, wheel):
    install(python, wheel)
    shown = pip(python, "show", "--files", "detectron2").stdout
    assert "Version: 0.6" in shown and "License: Apache-2.0" in shown
    dist_info = site_packages(python) / "detectron2-0.6.dist-info"
    assert "Apache License" in (dist_info / "LICENSE").read_text()
    for name in ("NOTICE", "METADATA"):
        assert "LabGym/detectron2 of the wheel labgym 3.1.2" in (dist_info / name).read_text()
    run(python, "-c", "import detectron2.engine")  # leaves __pycache__ folders
    removed = pip(python, "uninstall", "--yes", "detectron2")
    assert removed.returncode == 0
    assert list(site_packages(python).glob("*detectron2*")) == []


def test_keeps_what_can_be_imported(python, wheel):
    install(python, wheel)
    result = run(python, TOOLS / "install_detectron2.py", "--wheel", "nowhere.whl")
    assert result.returncode == 0
    assert result.stdout == f"Detectron2 0.6 in {site_packages(python) / 'detectron2'} is kept.\n"


def test_a_broken_detectron2_is_not_replaced(python, wheel):
    folder = site_packages(python) / "detectron2"
    folder.mkdir()
    (folder / "__init__.py").write_text("import torch_is_missing\n")
    result = install(python, wheel)
    assert result.returncode == 1
    assert f"Detectron2 is installed in {folder}, but does not import" in result.stderr
    assert "No module named 'torch_is_missing'" in result.stderr
    assert "pip uninstall detectron2" in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_hash_is_refused(python, wheel):
    result = run(python, TOOLS / "install_detectron2.py", "--wheel", wheel)
    assert result.returncode == 1
    assert f"{wheel} is not the expected file" in result.stderr
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() in result.stderr
    assert list(site_packages(python).iterdir()) == []


def test_missing_wheel(python):
    result = run(python, TOOLS / "install_detectron2.py", "--wheel", "nowhere.whl")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: --wheel nowhere.whl: there is no such file.\n"


def test_failed_download_says_what_to_do(python):
    """An environment without pip: nothing can be fetched."""
    result = run(python, TOOLS / "install_detectron2.py")
    assert result.returncode == 1
    assert f"Tried: {python} -m pip download" in result.stderr
    assert "pip says:" in result.stderr and "No module named pip" in result.stderr
    assert "--wheel" in result.stderr
    assert "git+https://github.com/facebookresearch/detectron2.git" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(site_packages(python).iterdir()) == []


def test_an_interrupted_install_is_taken_up_again(python, wheel):
    """Killed between the two renames, or while unpacking: the next run installs the whole."""
    folder = site_packages(python)
    (folder / "detectron2-0.6.dist-info").mkdir()
    (folder / ".detectron2-partial" / "detectron2").mkdir(parents=True)
    assert install(python, wheel).returncode == 0
    assert pip(python, "show", "detectron2").returncode == 0
    assert run(python, "-c", "import detectron2.engine").returncode == 0
    assert not (folder / ".detectron2-partial").exists()
