"""COCO-Stuff 164k: published stuffthingmaps -> label maps with the 171 training ids.

A published pixel is the COCO id minus 1 (0 to 181, with gaps), 255 where unlabeled. A label map
holds the position of that id in ``categories/coco_stuff_171.txt``, and 255 again.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from san.errors import UserError, exit_on_user_error
from san.files import atomic_path

from ..datasets import datasets_root, load_label_map, read_categories

SPLITS = ("train2017", "val2017")
ARCHIVE = "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip"
IGNORE_LABEL = 255
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last 12 bytes of every whole PNG file


def train_ids():
    """(256,) int64: training id of every published pixel value, -1 where there is none."""
    _, coco_ids = read_categories("coco_stuff_171")
    table = np.full(256, -1)
    table[np.array(coco_ids) - 1] = np.arange(len(coco_ids))
    table[IGNORE_LABEL] = IGNORE_LABEL
    return table


def convert(source, target, table):
    """Convert one label map; the target appears whole or not at all.

    Args:
        source, target (Path): PNG files.
        table: see `train_ids`.
    Returns:
        bool: False where a whole target of the right size was there already and is kept.
    Raises:
        UserError: the source is unreadable or holds a value that is no COCO id minus 1, or the
            target cannot be written.
    """
    if _is_done(source, target):
        return False
    published = load_label_map(source)  # (H, W)
    labels = np.take(table, published, mode="clip")  # (H, W)
    unknown = (labels < 0) | (published > 255)
    if unknown.any():
        values = ", ".join(map(str, np.unique(published[unknown])))
        raise UserError(
            f"{source}: unknown pixel values {values}; expected COCO ids minus 1 and 255, "
            "unpack this file anew from the archive"
        )
    with atomic_path(target) as temporary:
        Image.fromarray(labels.astype(np.uint8)).save(temporary, format="PNG")
    return True


def prepare(root):
    """Convert every label map of both splits, in parallel, with a progress bar.

    Run it again after an interruption: what is done is kept.

    Args:
        root (Path): folder that holds ``coco/stuffthingmaps``.
    Returns:
        num_converted (int), num_kept (int), errors (list[str]): one message for each bad file.
    Raises:
        UserError: a folder of published label maps is missing or empty.
    """
    jobs = list(_jobs(Path(root)))
    table = train_ids()
    num_converted, errors = 0, []
    # Threads suffice: PNG coding, nearly all of the work, runs outside the interpreter lock.
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        futures = [executor.submit(convert, source, target, table) for source, target in jobs]
        try:
            for future in tqdm(as_completed(futures), total=len(futures), unit="file"):
                try:
                    num_converted += future.result()
                except UserError as error:
                    errors.append(str(error))
        finally:
            executor.shutdown(cancel_futures=True)  # on Ctrl-C: finish the files begun, no more
    return num_converted, len(jobs) - num_converted - len(errors), sorted(errors)


def _jobs(root):
    """Pairs (source, target) of all splits."""
    coco = root / "coco"
    for split in SPLITS:
        folder = coco / "stuffthingmaps" / split
        sources = sorted(folder.glob("*.png"))
        if not sources:
            raise UserError(
                f"{folder}: no label maps (*.png) here; download {ARCHIVE} and unpack it in "
                f"{coco / 'stuffthingmaps'}, or set DETECTRON2_DATASETS or --root to the folder "
                "that holds coco/"
            )
        target_folder = coco / "stuffthingmaps_detectron2" / split
        for source in sources:
            yield source, target_folder / source.name


def _is_done(source, target):
    """True if the target is a whole PNG of the source's size; reads no pixels."""
    try:
        with open(target, "rb") as file:
            file.seek(-len(_PNG_END), os.SEEK_END)
            whole = file.read() == _PNG_END
        with Image.open(target) as done, Image.open(source) as published:
            return whole and done.size == published.size
    except OSError:  # no target yet, or no image
        return False


@exit_on_user_error
def main(argv=None):
    """Command line; returns the exit status: 0, 1 if files failed, 2 for a wrong set-up."""
    parser = argparse.ArgumentParser(
        description="Make coco/stuffthingmaps_detectron2 from coco/stuffthingmaps. "
        "Run it again to go on after an interruption."
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=datasets_root(),
        help="folder that holds coco/ (default: $DETECTRON2_DATASETS, else datasets)",
    )
    args = parser.parse_args(argv)
    num_converted, num_kept, errors = prepare(args.root)
    print(f"{num_converted} label maps converted, {num_kept} kept, {len(errors)} failed")
    for error in errors:
        print(f"failed: {error}")
    return 1 if errors else 0
