"""train_net.py as a user runs it: train, kill, resume, evaluate, on one and two processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import train_net
from tests.miniatures import write_all
from tests.training import CONFIG, save_weights, tiny_options

ROOT = Path(train_net.__file__).parent
SIX = (
    *("coco_2017_test_stuff_sem_seg", "voc_sem_seg_val", "pcontext_sem_seg_val"),
    *("ade20k_sem_seg_val", "pcontext_full_sem_seg_val", "ade20k_full_sem_seg_val"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with miniatures of all data sets in data/ and weights in filled.pth."""
    folder = tmp_path_factory.mktemp("train_net")
    write_all(folder / "data", num_images=3)
    save_weights(folder / "filled.pth")
    return folder


def start(folder, *arguments, launcher=(), options=(), data="data"):
    """Start train_net.py with the tiny model; ``options`` are KEY, VALUE, ..."""
    command = [sys.executable, *launcher, "train_net.py", "--config-file", CONFIG, *arguments]
    command += [*tiny_options(folder / "filled.pth", folder / "out"), *map(str, options)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "DETECTRON2_DATASETS": str(folder / data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, *arguments, **others):
    """Exit status, standard output, and the lines that tell of an error."""
    process = start(folder, *arguments, **others)
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    return process.returncode, out, [line for line in err.splitlines() if line.startswith("error:")]


def report(folder, name, kind="inference"):
    """Metrics and pixel counts of one data set; with the latter, no two predictions look alike."""
    report = json.loads((folder / kind / name / "sem_seg_evaluation.json").read_text())
    assert sum(c["predicted_pixels"] for c in report["classes"]) > 3 * 48 * 48 / 2
    return report


@pytest.fixture(scope="module")
def trained(folder):
    """The folder after a training that was killed, resumed, and evaluated on all six data sets."""
    options = ("SOLVER.MAX_ITER", 30, "SOLVER.CHECKPOINT_PERIOD", 3)
    process = start(folder, options=options)
    deadline = time.monotonic() + 200
    while not list((folder / "out").glob("model_*.pth")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    status, out, errors = run(folder, "--resume", options=(*options, "DATASETS.TEST", SIX))
    assert (status, errors) == (0, []), out
    return folder, out


def test_resumes_after_a_kill(trained):
    folder, out = trained
    first = int(re.search(r"Starting training from iteration (\d+)", out)[1])
    assert first > 0 and first % 3 == 0
    assert (folder / "out" / "model_final.pth").is_file()
    lines = (folder / "out" / "metrics.json").read_text().splitlines()
    assert any("total_loss" in json.loads(line) for line in lines)


def test_optimizer_table_in_the_log(trained):
    table = re.search(r"Optimizer:\n(.*?)\n\[", trained[1], re.DOTALL)[1]
    assert "clip.positional_embedding" in table and "0.18M" in table


def test_evaluates_on_all_six(trained):
    folder, out = trained
    overall = json.loads((folder / "out" / "inference" / "results.json").read_text())
    assert tuple(overall) == SIX
    assert all(0 <= value <= 100 for metrics in overall.values() for value in metrics.values())
    assert f"| {SIX[-1]} | {overall[SIX[-1]]['mIoU']:.2f} |" in out
    for name, num_classes in zip(SIX, (171, 20, 59, 150, 459, 847), strict=True):
        table = folder / "out" / "inference" / name / "sem_seg_evaluation.md"
        assert report(folder / "out", name)["images"] == 3
        assert table.read_text().count("\n") == num_classes + 8


def test_eval_only_with_one_scale_equals_plain(trained):
    """--eval-only gives the results of the training's end; test-time augmentation over the one
    scale of the plain test changes none of them."""
    folder, _ = trained
    names = (SIX[1], SIX[3])
    after_training = [report(folder / "out", name) for name in names]
    options = ["DATASETS.TEST", names, "TEST.AUG.ENABLED", True, "TEST.AUG.FLIP", False]
    options += ["TEST.AUG.MIN_SIZES", "(128,)", "TEST.AUG.MAX_SIZE", 512]
    options += ("OUTPUT_DIR", folder / "eval", "MODEL.WEIGHTS", folder / "out" / "model_final.pth")
    status, _, errors = run(folder, "--eval-only", options=options)
    assert (status, errors) == (0, [])
    assert [report(folder / "eval", name) for name in names] == after_training
    assert [report(folder / "eval", name, "inference_TTA") for name in names] == after_training


def test_eval_only_in_bfloat16(trained):
    """Nearly the results of the training's end, and not just these."""
    folder, _ = trained
    options = ("DATASETS.TEST", f"('{SIX[0]}',)", "OUTPUT_DIR", folder / "bfloat16")
    options += ("MODEL.WEIGHTS", folder / "out" / "model_final.pth", "TEST.DTYPE", "bfloat16")
    status, _, errors = run(folder, "--eval-only", options=options)
    assert (status, errors) == (0, [])
    low, plain = report(folder / "bfloat16", SIX[0]), report(folder / "out", SIX[0])
    assert low != plain
    counts = [np.array([c["predicted_pixels"] for c in r["classes"]]) for r in (low, plain)]
    assert np.abs(counts[0] - counts[1]).sum() < 0.05 * counts[1].sum()


def test_torchrun_equals_one_process(trained):
    """Evaluation over two processes, three images each, counts every image once."""
    folder, _ = trained
    options = ("DATASETS.TEST", f"('{SIX[0]}',)", "OUTPUT_DIR", folder / "sharded")
    options += ("MODEL.WEIGHTS", folder / "out" / "model_final.pth")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    status, out, errors = run(folder, "--eval-only", launcher=launcher, options=options)
    assert (status, errors) == (0, []), out
    two = report(folder / "sharded", SIX[0])
    assert two == report(folder / "out", SIX[0]) and two["images"] == 3


def test_broken_loss_on_two_processes(folder):
    options = ("SOLVER.BASE_LR", 1e30, "OUTPUT_DIR", folder / "broken")
    status, _, errors = run(folder, "--num-gpus", "2", options=options)
    assert status == 2 and len(errors) == 1
    assert errors[0].startswith("error: iteration 1: the loss is not finite")
    assert not list((folder / "broken").glob("*.pth"))


def test_missing_data(folder):
    status, out, errors = run(folder, data="no_such_folder", options=("MODEL.DEVICE", "cuda:9"))
    assert status == 2 and len(errors) == 1
    assert "coco_2017_train_stuff_sem_seg" in errors[0] and "no_such_folder" in errors[0]
    assert "Starting training" not in out


@pytest.mark.parametrize("arguments, message", [
    (["--config-file", CONFIG, "MODEL.SANN", "1"], "MODEL.SANN"),
    (["--config-file", CONFIG, "SOLVER.MAX_ITER"], "SOLVER.MAX_ITER"),
    (["--config-file", "no_such.yaml"], "no_such.yaml"),
    ([], "--config-file is missing"),
    (["--config-file", CONFIG, "--num-gpus", "0"], "--num-gpus 0.*at least 1"),
    (["--config-file", CONFIG, "--num-gpus", "99", "MODEL.DEVICE", "cuda"],
     r"--num-gpus 99: this machine has \d+ GPUs.*MODEL.DEVICE cpu"),
    (["--config-file", CONFIG, "--num-machines", "2"], "--dist-url tcp://HOST:PORT"),
    (["--config-file", CONFIG, "--machine-rank", "1"], "--machine-rank 1.*count from 0"),
])  # fmt: skip
def test_mistakes_on_the_command_line(capsys, arguments, message):
    assert train_net.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: .*{message}", line)


def test_num_gpus_under_torchrun(capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert train_net.main(["--config-file", CONFIG, "--num-gpus", "2"]) == 2
    assert "torchrun decides the number of processes" in capsys.readouterr().err
