#!/usr/bin/env python
"""Train and evaluate every model on ShapeScenes: what ships, three seeds, ablations, other methods.

    python tools/train_tiny.py [--output output/shapescenes] [--only NAME ...] [-- KEY VALUE ...]

Each run is one `train_net.py` command, printed before it starts; one that has ended is not
repeated, a training that was interrupted goes on. The weights of "clip_mosaics" and "san" are
written to the package, where the runs after them find CLIP. KEY VALUE pairs go to every training.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from san.data.datasets.builtin import datasets_root  # noqa: E402
from san.files import write_json  # noqa: E402
from san.weight_file import read_checkpoint, save_weights  # noqa: E402
from san.weights import SHIPPED  # noqa: E402

CLIP = "clip_tiny_shapescenes.yaml"
SAN = "san_tiny_shapescenes.yaml"
# CLIP's later trainings: images up to the size, and down to the positions, of things in scenes
WINDOWS = [
    *("INPUT.CLIP_SIZES_TRAIN", "[64, 80, 96, 112, 128]"),
    *("INPUT.CLIP_POSITION_WINDOW", "[0.35, 1]"),
    *("SOLVER.WARMUP_ITERS", "100", "SOLVER.MAX_ITER", "3000"),
]
# The last one besides: images read from a part of what is shown, as SAN reads things
MOSAICS = ["INPUT.CLIP_MOSAIC_SIZES_TRAIN", "[40, 48, 56, 64, 72, 80]"]


def start_from(name):
    """Arguments for a training that starts from the CLIP of another."""
    return ["MODEL.SAN.CLIP_PRETRAINED_NAME", f"{{output}}/{name}/clip.safetensors"]


# What is compared in the ablations: a sixth of the iterations
SHORT = ["SOLVER.MAX_ITER", "800"]
# name: config, arguments
RUNS = {
    "clip": (CLIP, []),
    "clip_windows": (CLIP, [*start_from("clip"), *WINDOWS, "SEED", "7"]),
    "clip_windows_2": (CLIP, [*start_from("clip_windows"), *WINDOWS, "SEED", "8"]),
    "clip_mosaics": (CLIP, [*start_from("clip_windows_2"), *WINDOWS, *MOSAICS, "SEED", "9"]),
    "san": (SAN, []),
    "san_seed_1": (SAN, ["SEED", "1"]),
    "san_seed_2": (SAN, ["SEED", "2"]),
    "san_short": (SAN, SHORT),
    "mask_pooling": ("ablations/san_tiny_mask_pooling.yaml", SHORT),
    "no_fusion": ("ablations/san_tiny_no_fusion.yaml", SHORT),
    "low_resolution": ("ablations/san_tiny_low_resolution.yaml", SHORT),
    "frozen_pos_embed": ("ablations/san_tiny_frozen_pos_embed.yaml", SHORT),
    "single_supervision": ("ablations/san_tiny_single_supervision.yaml", SHORT),
    "dense_clip": ("dense_clip/dense_clip_clip_tiny_shapescenes.yaml", ["--eval-only"]),
    "maskclip": ("maskclip/maskclip_clip_tiny_shapescenes.yaml", ["--eval-only"]),
    "sclip": ("sclip/sclip_clip_tiny_shapescenes.yaml", ["--eval-only"]),
}
# Run: file of its weights, name of those in the package
SHIPS = {
    "clip_mosaics": ("clip.safetensors", "clip_tiny"),
    "san": ("model_final.pth", "san_tiny"),
}


def train_or_evaluate(name, output, opts):
    """Run, or go on with, ``name``; its minutes go to minutes.json."""
    config, own = RUNS[name]
    own = [argument.format(output=output) for argument in own]
    folder = output / name
    if (folder / "minutes.json").exists():
        return
    command = [sys.executable, "train_net.py", "--config-file", f"configs/{config}"]
    command += own if "--eval-only" in own else ["--resume", *own, *opts]
    command += ["OUTPUT_DIR", str(folder)]
    start = time.monotonic()
    run(command)
    write_json(folder / "minutes.json", round((time.monotonic() - start) / 60, 1))


def run(command):
    """Print a command and run it in the repository; SystemExit where it fails."""
    print("+", shlex.join(command), flush=True)
    if status := subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit(status)


def ship(name, output):
    """Write the weights of a training to the package, in half precision."""
    file, shipped = SHIPS[name]
    checkpoint = read_checkpoint(output / name / file)
    weights = {
        key: w.half() if w.is_floating_point() else w for key, w in checkpoint["model"].items()
    }
    target = SHIPPED / f"{shipped}.safetensors"
    save_weights(target, weights, checkpoint["metadata"])
    print(f"wrote {target}: {target.stat().st_size / 1e6:.1f} MB")


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "shapescenes")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="for every training")
    args = parser.parse_args()
    if not (datasets_root() / "shapescenes" / "manifest.json").exists():
        run([sys.executable, "datasets/prepare_shapescenes.py"])
    for name in args.only:
        train_or_evaluate(name, args.output.resolve(), args.opts)
        if name in SHIPS:
            ship(name, args.output)


if __name__ == "__main__":
    main()
