"""The process that measures one setting.

    python -m san.benchmark.worker FOLDER

FOLDER has request.json ({"job", "setting"}); the image and the words of the setting are written to
it, and result.json: what `measure` gives, or {"error": message} for a user's mistake.
"""

import gc
import json
import os
import sys
from pathlib import Path

import torch

from san.allocator import keep_freed_memory
from san.errors import UserError
from san.files import write_json, write_text
from san.provenance import code_version, library_versions, machine

from . import memory
from .build import build, build_config, check_device
from .clock import Clock
from .counters import Counters
from .matmul import matmul_rate
from .measures import IMAGE, Inference, Text, Training
from .samples import draw_image, write_image
from .settings import Job, Setting
from .stages import Recorder
from .words import make_words

WORDS = "words.txt"  # in the folder


def measure(job, setting, folder):
    """Measure one setting in this process.

    Args:
        job (Job), setting (Setting)
        folder (Path)

    Returns:
        dict: "samples" and "files", each a list, one entry per run, of {stage: seconds}: the
        measure itself, and what is before and after the model; "counts", see `Counters.results`, or
        None; "memory" (MiB): "built" after the model was, "cpu" and "gpu" the peaks of the runs,
        "process" the peak of all so far; "matmul_rate" (list of two, FLOP per second, before and
        after); "environment".

    Raises:
        UserError: an option of the job or the setting that cannot be used.
    """
    check_device(setting.device)
    cfg = build_config(job, setting)
    if job.threads:
        torch.set_num_threads(job.threads)
    words = make_words(setting.num_words)
    write_text(folder / WORDS, "\n".join(words) + "\n")
    if setting.source_size:
        write_image(folder / IMAGE, setting.source_size)
    device = torch.device(setting.device)
    dtype = getattr(torch, setting.dtype or "float32")
    rate = matmul_rate(device, dtype)
    result = {"samples": [], "files": [], "counts": None, "memory": {}}
    if setting.measure == "text":
        result.update(_measure_text(job, cfg, words, device))
    elif setting.measure != "start":
        result.update(_measure_model(job, setting, cfg, words, folder))
    result["matmul_rate"] = [rate, matmul_rate(device, dtype)]
    result["environment"] = _environment(setting)
    return result


def _measure_model(job, setting, cfg, words, folder):
    image = torch.from_numpy(draw_image(setting.image_size)).permute(2, 0, 1)
    model = build(cfg, image)
    recorder = Recorder(model)
    training = setting.measure == "training"
    if training:
        run = Training(model, setting, words, cfg, recorder)
    else:
        run = Inference(model, setting, words, folder)
    built, device = memory.resident(), model.device
    recorder.compile(setting.compile)
    with torch.inference_mode(not training):
        samples, outputs, peaks = _repeat(job, run, recorder, device)
    files = [] if training else _time_files(job, run, outputs[0], device)
    recorder.compile("none")
    with torch.set_grad_enabled(training):
        counts = count(run, recorder)
    return {
        "samples": samples,
        "files": files,
        "counts": counts,
        "memory": {"built": built, **peaks},
    }


def _repeat(job, run, recorder, device):
    """Time the runs of a model -> samples, the last run's outputs, peaks of memory."""
    for _ in range(job.warmup):
        torch.compiler.cudagraph_mark_step_begin()
        run.run()
    gc.collect()
    before = memory.reset_peak(device)
    samples = []
    for _ in range(job.repeats):
        torch.compiler.cudagraph_mark_step_begin()
        outputs = None  # those of the run before are not to be held during this one
        recorder.target = clock = Clock(device)
        outputs = run.run()
        samples.append(clock.stop())
    recorder.target = None
    return samples, outputs, memory.peaks(device, before)


def _time_files(job, run, output, device):
    files = []
    for _ in range(job.repeats):
        clock = Clock(device)
        run.around(clock, output)
        files.append(clock.stop())
    return files


def count(run, recorder):
    """Counts of one run, see `Counters.results`."""
    with Counters() as counters:
        recorder.target = counters
        run.run()
        recorder.target = None
    return counters.results()


def _measure_text(job, cfg, words, device):
    model = build(cfg)
    classifier = model.text_classifier
    built = memory.resident()
    if job.warmup:
        Text(classifier, words[:8]).run(Clock(device))
    before = memory.reset_peak(device)
    samples = []
    for _ in range(job.repeats):
        clock = Clock(device)
        Text(classifier, words).run(clock)
        samples.append(clock.stop())
    return {"samples": samples, "memory": {"built": built, **memory.peaks(device, before)}}


def _environment(setting):
    return {
        "code": code_version(),
        "libraries": library_versions(),
        "machine": machine(setting.device),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def main(folder):
    """Read the request, leave the result."""
    keep_freed_memory()  # as every command does
    folder = Path(folder)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    job = Job(**{**request["job"], "opts": tuple(request["job"]["opts"])})
    try:
        result = measure(job, Setting.from_dict(request["setting"]), folder)
    except UserError as error:
        result = {"error": str(error)}
    write_json(folder / "result.json", result)


if __name__ == "__main__":
    main(sys.argv[1])
