import json
import os
import signal
import subprocess
import sys

import pytest

from san.errors import UserError
from san.files import atomic_path, leftovers, write_json, write_text


@pytest.mark.parametrize("durable", [False, True])
def test_a_block_that_raises_leaves_the_old_file(durable, tmp_path):
    path = tmp_path / "new" / "file"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path, durable) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with atomic_path(path, durable) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pth"
    path.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from san.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, path], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (leftover,) = leftovers(tmp_path, "*.pth")
    assert leftover.read_text() == "half"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*a\.txt .*choose another one"):
        write_text(tmp_path / "file" / "a.txt", "")


def test_json_is_standard(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"straße": [1, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"straße": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert os.listdir(tmp_path) == ["a.json"]
