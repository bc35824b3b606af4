"""A few captioned images, and a CLIP that trains on them in seconds."""

import json
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from san.config import load_config

CONFIG = "configs/clip_tiny_shapescenes.yaml"
COLORS = {
    **{"red": (220, 30, 30), "green": (30, 180, 60), "blue": (30, 60, 220), "black": (15, 15, 15)},
    **{"white": (245, 245, 245), "yellow": (235, 215, 40), "pink": (245, 130, 190)},
    "gray": (128, 128, 128),
}
PATTERNS = ("plain", "split", "striped", "barred")
WORDS = tuple(f"{color} {pattern}" for color, pattern in product(COLORS, PATTERNS))  # 32


def write_captions(root, num_images=32, size=48):
    """Write images and ROOT/captions.jsonl -> its path; image i shows WORDS[i % 32]."""
    root = Path(root)
    (root / "images").mkdir(parents=True)
    lines = []
    for i in range(num_images):
        word = WORDS[i % len(WORDS)]
        file_name = f"images/{i:03}.png"
        Image.fromarray(_draw(*word.split(), size)).save(root / file_name)
        captions = [f"a {word} tile", f"a photo of a {word} tile."]
        line = {"file_name": file_name, "captions": captions, "content": word}
        lines.append(json.dumps(line) + "\n")
    path = root / "captions.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _draw(color, pattern, size):
    """(size, size, 3) uint8: the color, with black and white parts that tell the patterns apart."""
    image = np.empty((size, size, 3), np.uint8)
    image[:] = COLORS[color]
    part = size // 6
    if pattern == "split":
        image[: size // 2] = (90, 60, 30)
    elif pattern == "striped":
        image[np.arange(size) // part % 2 == 1] = (90, 60, 30)
    elif pattern == "barred":
        image[:, np.arange(size) // part % 2 == 1] = (90, 60, 30)
    return image


def clip_options(path, output_dir):
    """KEY VALUE pairs: train on the captions of a file, batches of 8, on the CPU, no evaluation."""
    return [
        *("DATASETS.TRAIN", f"('{path}',)", "DATASETS.TEST", "()", "OUTPUT_DIR", str(output_dir)),
        *("SOLVER.IMS_PER_BATCH", "8", "SOLVER.MAX_ITER", "4", "SOLVER.WARMUP_ITERS", "0"),
        *("MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0", "TEST.EVAL_PERIOD", "0"),
    ]


def clip_config(path, output_dir, *opts):
    """The config of `clip_options` and of more KEY VALUE pairs."""
    return load_config(CONFIG, [*clip_options(path, output_dir), *map(str, opts)])
