"""`import san`: quiet, light, and clear where Detectron2 is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import san

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """An interpreter that has the standard library only."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def run(*command):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=env)


def test_import_is_quiet_and_light():
    code = "import sys, san; assert not {'torch', 'detectron2', 'numpy'} & set(sys.modules)"
    result = run(sys.executable, "-W", "error", "-c", code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", san.__all__)
def test_public_names(name):
    assert name in dir(san)
    assert getattr(san, name) is not None


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'san' has no attribute 'Segmentor'"):
        _ = san.Segmentor


def test_missing_detectron2(bare_python):
    result = run(bare_python, "-c", "import san")
    assert result.returncode == 1
    message = result.stderr.splitlines()[-1]
    assert message.startswith("ImportError: san needs Detectron2, which is not installed")
    script = re.search(r"`python (\S+)`", message).group(1)
    assert (ROOT / script).is_file()


def test_folder_named_detectron2_is_not_detectron2(bare_python, tmp_path):
    (tmp_path / "detectron2").mkdir()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import san"
    assert "ImportError: san needs Detectron2" in run(bare_python, "-c", code).stderr


def test_missing_detectron2_on_the_command_line(bare_python, tmp_path):
    """One line and no stack trace, from every command."""
    script = tmp_path / "san"
    script.write_text("import sys\nfrom san.cli import main\nsys.exit(main())\n")
    scripts = [script, ROOT / "train_net.py", ROOT / "demo" / "demo.py"]
    for command in [[bare_python, "-m", "san.cli"], *([bare_python, s] for s in scripts)]:
        result = run(*command)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("error: san needs Detectron2")
        assert result.stderr.count("\n") == 1
