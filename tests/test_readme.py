"""Every command of the README runs, with the tiny model and miniatures where it would be large."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.miniatures import write_coco_stuff

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BY_CI = {"make demo", "pip install -c constraints.txt -e ."}  # set-up, run by .ci/run itself
TINY = "configs/quick/san_tiny.yaml"
# What stands in for GPUs, published weights and full schedules
STAND_INS = [
    (r"prepare_coco_stuff\.py", "prepare_coco_stuff.py --subset"),
    (r"prepare_shapescenes\.py", "prepare_shapescenes.py --scale 0.01"),
    (r"configs/san_clip_vit\w*\.yaml", TINY),
    (r"--num-gpus 8", "--num-gpus 1"),
    (r"--nproc-per-node 8", "--nproc-per-node 2"),
    (r"--weights san_vit_b_16", f"--config-file {TINY} --weights output/quick/model_final.pth"),
    (r"san://san_vit_b_16", "output/quick/model_final.pth DATASETS.TEST ('voc_sem_seg_val',)"),
    (r"(OUTPUT_DIR output/vit_\w+)", r"\1 SOLVER.MAX_ITER 2 DATASETS.TEST ()"),
]


def commands():
    """Command lines of the README's bash blocks, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A working copy to run in, with a photo and an official checkpoint."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "demo", "tests", "tools", "train_net.py"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "datasets").mkdir()
    for script in (ROOT / "datasets").glob("*.py"):  # and not the data that may lie beside them
        shutil.copy(script, folder / "datasets")
    shutil.copy(folder / "demo" / "images" / "seen" / "seen_1.jpg", folder / "photo.jpg")
    write_coco_stuff(folder / "datasets", prepared=False)
    return folder


def run(line, folder, environment):
    for pattern, stand_in in STAND_INS:
        line = re.sub(pattern, stand_in, line)
    line = re.sub(r"DATASETS.TEST (\(.*?\))", r'DATASETS.TEST "\1"', line)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_all_commands_run_in_order(clone):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    bin_folder = str(Path(sys.executable).parent)  # python, san, torchrun of this environment
    environment["PATH"] = os.pathsep.join([bin_folder, environment["PATH"]])
    environment.pop("DETECTRON2_DATASETS", None)
    lines = [line for line in commands() if line not in BY_CI]
    # The demo shows trained weights before the README has come to training
    late = [line for line in lines if "--weights" in line or line.startswith("san compare")]
    for line in [x for x in lines if x not in late] + late:
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=")
            environment[name] = value
        elif line.startswith("san convert-weights official.pth"):
            _make_official(clone, environment)
            run(line, clone, environment)
        else:
            run(line, clone, environment)
    assert (clone / "official.pth").stat().st_size > 10**6
    assert list((clone / "output").glob("*/predictions.json"))
    assert (clone / "output" / "quick_eval" / "inference" / "results.md").is_file()


def _make_official(clone, environment):
    line = "san convert-weights output/quick/model_final.pth official.pth --to official"
    run(line, clone, environment)


def test_the_python_block_runs(clone, monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in block.splitlines() if line and not line.startswith("#")]) <= 6
    monkeypatch.chdir(clone)
    monkeypatch.setattr("PIL.Image.Image.show", lambda self: None)
    scope = {}
    exec(block.replace("san_vit_b_16", "san_tiny"), scope)
    assert scope["result"].label_map.shape == scope["result"].scores.shape
    assert scope["result"].label_map.max() < 3
    assert (clone / "photo.overlay.jpg").is_file() and (clone / "photo.labels.png").is_file()
