"""The command that writes ShapeScenes: images, label maps, captions, truth, manifest."""

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy
import PIL

from san.errors import UserError, exit_on_user_error
from san.files import write_json, write_text

from ..datasets import datasets_root
from .classes import THING_IDS
from .label_sets import classes_json
from .splits import SPLITS, VERSION, plan_item, thing_class
from .writer import image_name, write_images

FOLDER = "shapescenes"
# The same versions give the same bytes; others may round a pixel differently.
LIBRARIES = {"numpy": numpy.__version__, "opencv": cv2.__version__, "pillow": PIL.__version__}


def prepare(root, seed=0, scale=1.0, num_workers=1):
    """Write the data set below ``root``; images that are there whole are kept.

    Args:
        root (Path): folder of all data sets.
        seed (int): 0 or more.
        scale (float): times the default number of images of each split; of the single-thing crops
            there is at least one for each class.
        num_workers (int): processes; the files do not depend on it.
    Returns:
        num_images (int), num_kept (int), num_bytes (int): of all files in the manifest.
    Raises:
        UserError: a value out of range, a folder made with other settings, or no right to write.
    """
    _check(seed, scale, num_workers)
    folder = Path(root) / FOLDER
    made_with = {"version": VERSION, "seed": seed, "scale": scale}
    _check_folder(folder, made_with)
    write_json(folder / "classes.json", {"made_with": made_with, **classes_json()})
    counts = count_images(scale)
    _write_records(folder, counts, seed)
    hashes, num_kept = write_images(folder, counts, seed, num_workers)
    manifest = {"made_with": made_with, "libraries": LIBRARIES, "sha256": hashes}
    write_json(folder / "manifest.json", manifest)
    num_bytes = sum((folder / file).stat().st_size for file in hashes)
    return sum(counts.values()), num_kept, num_bytes


def count_images(scale):
    """{split: number of images} at a scale."""
    counts = {split.name: max(1, round(split.num_images * scale)) for split in SPLITS.values()}
    per_class = max(1, counts["crops_val"] // len(THING_IDS))
    return {**counts, "crops_val": per_class * len(THING_IDS)}


def _check(seed, scale, num_workers):
    if seed < 0:
        raise UserError(f"--seed is {seed}; give 0 or more")
    if not 0 < scale < float("inf"):
        raise UserError(f"--scale is {scale}; give more than 0: 1 is the whole data set")
    if num_workers < 1:
        raise UserError(f"--num-workers is {num_workers}; give 1 or more")


def _check_folder(folder, made_with):
    """Refuse a folder with images of other settings: they would be kept among the new ones."""
    if not (folder / "images").exists():
        return
    try:
        found = json.loads((folder / "classes.json").read_text(encoding="utf-8"))["made_with"]
    except (OSError, ValueError, KeyError):
        found = "unknown settings"
    if found != made_with:
        raise UserError(
            f"{folder} was made with {found}, and now {made_with} is asked for; remove that "
            "folder, or choose another one with --root"
        )


def _write_records(folder, counts, seed):
    """Captions of the images that have some, and classes of those with one thing."""
    captions, crops = [], []
    for name, count in counts.items():
        split = SPLITS[name]
        for index in range(count if split.kind != "scenes" else 0):
            item = plan_item(split, seed, index)
            record = {"file_name": image_name(split, index)}
            if split.kind == "captions":
                captions.append({**record, "captions": item.captions, "content": item.content})
            else:
                crops.append({**record, "class": thing_class(item)})
    for file, records in (("captions.jsonl", captions), ("crops.jsonl", crops)):
        lines = (json.dumps(record, ensure_ascii=False) for record in records)
        write_text(folder / file, "".join(f"{line}\n" for line in lines))


@exit_on_user_error
def main(argv=None):
    """Command line; returns the exit status: 0, or 2 for a wrong set-up."""
    parser = argparse.ArgumentParser(
        description="Make the data set ShapeScenes in ROOT/shapescenes. "
        "Run it again to go on after an interruption."
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=datasets_root(),
        help="folder of all data sets (default: $DETECTRON2_DATASETS, else datasets)",
    )
    parser.add_argument("--seed", type=int, default=0, help="decides every image (default: 0)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="times the number of images (default: 1)"
    )
    parser.add_argument(
        "--num-workers", type=int, default=os.cpu_count(), help="processes (default: all cores)"
    )
    args = parser.parse_args(argv)
    num_images, num_kept, num_bytes = prepare(**vars(args))
    print(
        f"{args.root / FOLDER}: {num_images} images, {num_kept} of them kept, "
        f"{num_bytes / 1e6:.0f} MB"
    )
    return 0
