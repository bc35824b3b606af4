"""Every command and every file of docs/own_data.md, with a tiny model where it has a large one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from san.data.datasets.yaml_file import read_yaml_file
from tests.own_data import CLASSES, write_photos

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
TINY = str(ROOT / "configs" / "quick" / "san_tiny.yaml")
STAND_INS = [
    (r"train_net\.py", str(ROOT / "train_net.py")),
    (r"configs/san_clip_vit\w*\.yaml", TINY),
    (r"--weights san_vit_b_16", f"--config-file {TINY} --weights ''"),
    (r"MODEL.WEIGHTS san://san_vit_b_16", "MODEL.WEIGHTS ''"),
    (r"SOLVER.MAX_ITER 2000", "SOLVER.MAX_ITER 3 SOLVER.WARMUP_ITERS 1"),
]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the guide's first step, in own/."""
    folder = tmp_path_factory.mktemp("guide")
    write_photos(folder / "own", 8)
    (folder / "own" / "train.txt").write_text("".join(f"{i:03}\n" for i in range(6)))
    (folder / "own" / "val.txt").write_text("006\n007\n")
    (folder / "own" / "own.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    return folder


def test_all_commands_run_in_order(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    path = [str(Path(sys.executable).parent), environment["PATH"]]
    environment["PATH"] = os.pathsep.join(path)  # python and san of this environment
    for line in "".join(blocks("bash")).splitlines():
        for pattern, stand_in in STAND_INS:
            line = re.sub(pattern, stand_in, line)
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        output = f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        expected = (0, 1) if "san compare" in line else (0,)  # 1: they differ
        assert done.returncode in expected and "Traceback" not in output, output
    output = folder / "output"
    assert {path.name for path in (output / "own_check").iterdir()} == {
        "own_train.html",
        "own_val.html",
    }
    for name in ("own", "own_before", "own_after"):
        report = output / name / "inference" / "own_val" / "sem_seg_evaluation.json"
        report = json.loads(report.read_text())
        assert report["images"] == 2
        assert [c["name"] for c in report["classes"]] == list(CLASSES)
    assert len(list((output / "own_pictures").glob("*.overlay.jpg"))) == 8


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_file_is_right(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    data = read_yaml_file(path, "train" if "splits" in text else None)
    assert set(data["classes"].values()) in (set(CLASSES), {"grass", "person", "dog"})
