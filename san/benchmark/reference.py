"""Counts that stand in a file, so that a change of what the software does is noticed.

FLOPs, operator calls and bytes of tensors do not depend on the machine's mood. The file belongs to
the version of PyTorch that constraints.txt names.
"""

import json
import tempfile
from pathlib import Path

import torch

from san.errors import UserError
from san.files import write_json

from .build import build, build_config
from .measures import IMAGE, Inference, Training
from .samples import draw_image, write_image
from .settings import Job, expand
from .stages import Recorder
from .words import make_words
from .worker import count

FORMAT = "san counts 1"
_B16, _TINY = "san_clip_vit_res4_coco.yaml", "quick/san_tiny.yaml"
CASES = {  # name: config, measure, image size, words
    "tiny inference": (_TINY, "inference", (128, 160), 171),
    "tiny training": (_TINY, "training", (128, 128), 20),
    "B/16 inference": (_B16, "inference", (640, 640), 171),
    "B/16 training": (_B16, "training", (640, 640), 171),
}
# Relative; operators differ a little between builds of PyTorch, FLOPs of the label map with the
# rounding of the processor
TOLERANCES = {"flops": 0.01, "calls": 0.05, "peak_bytes": 0.03}


def count_case(name):
    """Counts of a case, in float32 on the CPU -> {stage: {"flops", "calls"}}."""
    config, measure, size, num_words = CASES[name]
    (setting,) = expand([measure], image_size=[size], num_words=[num_words])
    job, words = Job(config), make_words(num_words)
    image = torch.from_numpy(draw_image(size)).permute(2, 0, 1)
    cfg = build_config(job, setting)
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(cfg, image)
        recorder = Recorder(model)
        if measure == "training":
            run = Training(model, setting, words, cfg, recorder)
            run.run()  # the optimizer makes its state in the first step
            return count(run, recorder)
        write_image(Path(folder, IMAGE), size)
        run = Inference(model, setting, words, Path(folder))
        with torch.no_grad():
            run.run()  # makes the embeddings of the words, and what depends on sizes alone
            return count(run, recorder)


def write_reference(path):
    """Count all cases, and write the file."""
    counts = {name: count_case(name) for name in CASES}
    versions = {"torch": torch.__version__}
    write_json(path, {"format": FORMAT, "versions": versions, "counts": counts})


def read_reference(path):
    """{case: counts} of a file.

    Raises:
        UserError: it is not there, or no such file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): write it with {_renew(path)}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is no file of counts ({FORMAT!r}): write it with {_renew(path)}")
    return content["counts"]


def differences(name, expected, actual, path):
    """What is not as it was, in sentences; the last one says how to renew the file.

    Args:
        name (str): of the case.
        expected, actual (dict): {stage: {kind: number}}.
        path: of the reference file.

    Returns:
        list[str]: empty where all is within TOLERANCES.
    """
    lines = []
    for stage in expected.keys() | actual.keys():
        before, now = expected.get(stage, {}), actual.get(stage, {})
        for kind in before.keys() | now.keys():
            a, b = before.get(kind, 0), now.get(kind, 0)
            if abs(a - b) > TOLERANCES[kind] * a:
                change = f"{100 * (b / a - 1):+.1f} %" if a else "new"
                lines.append(f"{name}, {stage}: {kind} {b:,} where {a:,} were expected ({change})")
    if lines:
        lines.sort()
        lines.append(f"if that is meant, renew the file: {_renew(path)}")
    return lines


def _renew(path):
    return f"`san benchmark --write-reference {path}`"
