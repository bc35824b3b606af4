"""Processes that are measured: our own worker, ``san segment``, and other implementations.

Imports nothing heavy: on Linux the peak memory of a child process begins with that of its parent.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import san
from san.errors import UserError
from san.files import write_json
from san.threads import BRIEF, SPIN_COUNT, wait_asleep

from .settings import ALLOCATORS

REQUEST = "SAN_BENCHMARK"  # environment variable, for other implementations
_TUNABLES = "GLIBC_TUNABLES"
_ROOT = Path(san.__file__).parents[1]  # where the package is, installed or not


class Finished(NamedTuple):
    """A process that has ended."""

    status: int  # exit status; below 0: ended by that signal
    seconds: float  # from its start to its end
    peak: float | None  # resident memory, MiB; None where the system does not tell
    stdout: str
    stderr: str


class ProcessError(RuntimeError):
    """A process that is measured failed."""


def run_process(command, environment):
    """Run a command to its end.

    Args:
        command (list[str])
        environment (dict): all of its environment variables.

    Raises:
        UserError: there is no such program.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        begin = time.perf_counter()
        try:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=environment)
        except OSError as error:
            raise UserError(
                f"cannot start {shlex.join(command)} ({error.strerror}): check the path"
            ) from None
        peak = _wait(process)
        seconds = time.perf_counter() - begin
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Finished(process.returncode, seconds, peak, *texts)


def _wait(process):
    """Wait for a process -> peak of its resident memory in MiB, or None."""
    if not hasattr(os, "wait4"):  # Windows
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def environment_of(job, setting):
    """Environment variables of a process that is measured: allocator and threads.

    A baseline waits as it does by itself, so what this command set for its own processes goes.
    """
    environment = {key: value for key, value in os.environ.items() if key != _TUNABLES}
    if environment.get(SPIN_COUNT) == BRIEF:
        del environment[SPIN_COUNT]
    if ALLOCATORS[setting.allocator]:
        environment[_TUNABLES] = ALLOCATORS[setting.allocator]
    if job.threads:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(job.threads))
    return environment


def _our_environment(job, setting):
    """The same, for processes that import this package."""
    environment = environment_of(job, setting)
    paths = [str(_ROOT), environment.get("PYTHONPATH")]
    wait_asleep(environment)
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run_worker(job, setting, folder):
    """Measure a setting in a process of its own -> what `san.benchmark.worker.measure` gives.

    Raises:
        UserError: an option that cannot be used.
        ProcessError: the process failed.
    """
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    write_json(folder / "request.json", {"job": asdict(job), "setting": setting.as_dict()})
    command = [sys.executable, "-m", "san.benchmark.worker", str(folder)]
    finished = run_process(command, _our_environment(job, setting))
    if not result.exists():
        raise ProcessError(_failure(setting.title(), finished))
    result = json.loads(result.read_text(encoding="utf-8"))
    if "error" in result:
        raise UserError(result["error"])
    if setting.measure == "start":
        result.update(_run_start(job, setting, folder))
    return result


def _run_start(job, setting, folder):
    """``san segment`` on one image, again and again -> "samples" and "memory"."""
    command = [
        *(sys.executable, "-m", "san.cli", "segment", "--input", str(folder / "image.jpg")),
        *("--vocabulary", str(folder / "words.txt"), "--output", str(folder / "segmented")),
        *("--device", setting.device, "--overwrite"),
    ]
    if job.weights:
        command += ["--weights", job.weights, "--config-file", job.config_file]
    if job.opts:
        command += ["--opts", *job.opts]
    environment = _our_environment(job, setting)
    runs = [_checked(command, environment) for _ in range(job.warmup + job.repeats)][job.warmup :]
    peak = max((run.peak for run in runs if run.peak is not None), default=None)
    samples = [{"total": run.seconds} for run in runs]
    return {"samples": samples, "memory": {"process": peak}}


def run_baseline(command, job, setting, folder):
    """Measure another implementation, as docs/performance.md says how.

    Args:
        command (str): as a shell takes it; no shell runs it.
        folder (Path): where `run_worker` has left image and words of the same setting.

    Returns:
        dict: "samples" and "memory" as `run_worker` gives them.

    Raises:
        UserError: there is no such program; it printed no times though they are needed.
        ProcessError: it failed.
    """
    run = _checked(shlex.split(command), _request(job, setting, folder))
    samples = [line for line in map(_times, run.stdout.splitlines()) if line]
    if setting.measure == "start":
        samples = [{"total": run.seconds}]
    elif not samples:
        raise UserError(
            f"--baseline {command!r} printed no line of JSON with its times, such as "
            '{"total": 0.82}; whole processes are compared by --measure start alone'
        )
    return {"samples": samples, "memory": {"process": run.peak}}


def _request(job, setting, folder):
    request = {
        **setting.as_dict(),
        "warmup": job.warmup,
        "repeats": job.repeats,
        "threads": job.threads,
        "image": str(folder / "image.jpg") if setting.source_size else None,
        "words": str(folder / "words.txt"),
    }
    return {**environment_of(job, setting), REQUEST: json.dumps(request)}


def _times(line):
    """{stage: seconds} of a line of output; None where it is something else."""
    try:
        times = json.loads(line)
    except ValueError:
        return None
    if not isinstance(times, dict) or not isinstance(times.get("total"), (int, float)):
        return None
    return {key: float(value) for key, value in times.items() if isinstance(value, (int, float))}


def _checked(command, environment):
    finished = run_process(command, environment)
    if finished.status:
        raise ProcessError(_failure(shlex.join(command), finished))
    return finished


def _failure(what, finished):
    lines = finished.stderr.strip().splitlines()[-3:] or ["no message"]
    if finished.status < 0:
        lines.append("a process that is killed may have had too little memory")
    return f"{what}: ended with status {finished.status}: {' | '.join(lines)}"
