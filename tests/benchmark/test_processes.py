"""Processes that are measured, and what a baseline has to do."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from san import threads
from san.benchmark.processes import (
    Finished,
    ProcessError,
    environment_of,
    run_baseline,
    run_worker,
)
from san.benchmark.settings import ALLOCATORS, Job, expand
from san.errors import UserError
from tests.training import CONFIG

ROOT = Path(__file__).resolve().parents[2]
JOB = Job(CONFIG, warmup=1, repeats=2, threads=1)
(SETTING,) = expand(["inference"], image_size=[(64, 64)], num_words=[20])
(START,) = expand(["start"], source_size=(64, 64), num_words=[20])


def python(code):
    """Command line that runs some Python."""
    return shlex.join([sys.executable, "-c", code])


def test_peak_memory_is_that_of_the_process():
    """Measured by a small process, as the command is: a child's peak begins with its parent's."""
    measured = [sys.executable, "-c", "x = b'1' * (200 << 20); print(len(x))"]
    code = f"from san.benchmark.processes import run_process; print(run_process({measured}, {{}}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    finished = eval(run.stdout, {"Finished": Finished})
    assert finished.status == 0 and finished.stdout.strip() == str(200 << 20)
    assert 200 < finished.peak < 250 and finished.seconds > 0


def test_allocator_and_threads(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "of=the user")
    assert "GLIBC_TUNABLES" not in environment_of(JOB, SETTING)
    assert environment_of(JOB, SETTING)["OMP_NUM_THREADS"] == "1"
    (tuned,) = expand(["inference"], allocator=["tuned"])
    assert environment_of(JOB, tuned)["GLIBC_TUNABLES"] == ALLOCATORS["tuned"]


def test_a_baseline_waits_as_it_would_by_itself(monkeypatch, tmp_path):
    """What the command has set for its own processes is not passed on; what a user has set is."""
    code = "import os; print('{\"total\": ' + os.environ.get('GOMP_SPINCOUNT', '7') + '}')"
    for value, expected in {threads.BRIEF: 7, "50": 50}.items():
        monkeypatch.setenv("GOMP_SPINCOUNT", value)
        result = run_baseline(python(code), JOB, SETTING, tmp_path)
        assert result["samples"] == [{"total": expected}]


def test_baseline_gets_the_setting_and_prints_times(tmp_path):
    code = (
        "import json, os; r = json.loads(os.environ['SAN_BENCHMARK']); print('hello'); print('[1]')"
        "\nfor i in range(r['repeats']): print(json.dumps({'total': 1.5 + i, 'r': r}))"
    )
    result = run_baseline(python(code), JOB, SETTING, tmp_path)
    assert result["samples"] == [{"total": 1.5}, {"total": 2.5}]
    assert result["memory"]["process"] > 1
    show = "import json, os, sys; open(sys.argv[1], 'w').write(os.environ['SAN_BENCHMARK'])"
    command = f"{python(show)} {tmp_path / 'request.json'}"
    with pytest.raises(UserError, match="printed no line of JSON with its times"):
        run_baseline(command, JOB, SETTING, tmp_path)
    request = json.loads((tmp_path / "request.json").read_text())
    assert request == {
        **json.loads(json.dumps(SETTING.as_dict())),
        **{"warmup": 1, "repeats": 2, "threads": 1},
        **{"image": str(tmp_path / "image.jpg"), "words": str(tmp_path / "words.txt")},
    }


def test_baseline_is_timed_as_a_whole_where_ours_is(tmp_path):
    result = run_baseline(python("import time; time.sleep(0.1)"), JOB, START, tmp_path)
    (sample,) = result["samples"]
    assert sample["total"] > 0.1


def test_failing_processes_are_named(tmp_path):
    with pytest.raises(ProcessError, match="ended with status 3: out of luck"):
        run_baseline(python("import sys; print('out of luck', file=sys.stderr); sys.exit(3)"),
                     JOB, SETTING, tmp_path)  # fmt: skip
    with pytest.raises(ProcessError, match="status -9: .* may have had too little memory"):
        run_baseline(python("import os; os.kill(os.getpid(), 9)"), JOB, SETTING, tmp_path)
    with pytest.raises(UserError, match="cannot start no-such-program .*check the path"):
        run_baseline("no-such-program --fast", JOB, SETTING, tmp_path)


def test_mistakes_come_from_the_worker_as_such(tmp_path):
    with pytest.raises(UserError, match="NO_SUCH_KEY"):
        run_worker(Job(CONFIG, opts=("MODEL.NO_SUCH_KEY", "1")), SETTING, tmp_path)
