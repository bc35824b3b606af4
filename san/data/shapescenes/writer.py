"""Write planned images to files, on all cores; what is there whole is kept."""

import hashlib
import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from san.files import atomic_path

from .label_sets import IGNORE_LABEL, LABEL_SETS
from .render import render
from .splits import SPLITS, plan_item

JPEG_QUALITY = 90
CHUNK = 32  # images that a process takes at a time
_JPEG_END, _PNG_END = b"\xff\xd9", b"\0\0\0\0IEND\xaeB`\x82"  # last bytes of every whole file


def image_name(split, index):
    """File of an image below the data set's folder."""
    return f"images/{split.name}/{index:06d}.jpg"


def label_name(split, index):
    """File of a label map below the data set's folder."""
    return f"labels/{split.name}/{index:06d}.png"


def to_labels(scene, elements, label_set):
    """Label map of a painted scene.

    Args:
        scene (Scene).
        elements: (H, W) uint8, see `render`.
        label_set (LabelSet).
    Returns:
        (H, W) uint8, `IGNORE_LABEL` where the class is not in the label set.
    """
    shown = [(class_id, "plain") for class_id in scene.stuff]
    shown += [(thing.class_id, thing.pattern) for thing in scene.things]
    table = [label_set.labels.get(key, IGNORE_LABEL) for key in shown]
    return np.array(table, np.uint8)[elements]


def write_images(root, counts, seed, num_workers):
    """Write the images and label maps of several splits.

    Args:
        root (Path): folder of the data set.
        counts (dict[str, int]): images of each split.
        seed (int): of the data set.
        num_workers (int): processes; 1: this one. The files do not depend on it.
    Returns:
        hashes (dict[str, str]): SHA-256 of each file by its name below ``root``, sorted by name.
        num_kept (int): images that were there before.
    Raises:
        UserError: a file cannot be written.
    """
    chunks = [
        (root, seed, split, range(start, min(start + CHUNK, count)))
        for split, count in counts.items()
        for start in range(0, count, CHUNK)
    ]
    hashes, num_kept = {}, 0
    with tqdm(total=sum(counts.values()), unit="image") as progress:
        for written, kept in _map(chunks, num_workers):
            hashes |= written
            num_kept += sum(kept)
            progress.update(len(kept))
    return dict(sorted(hashes.items())), num_kept


def _map(chunks, num_workers):
    """Results of `_write_chunk` in any order, computed in processes if there are several."""
    if num_workers == 1:
        yield from (_write_chunk(*chunk) for chunk in chunks)
        return
    with ProcessPoolExecutor(num_workers, initializer=_start_worker) as executor:
        futures = [executor.submit(_write_chunk, *chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            executor.shutdown(cancel_futures=True)  # on Ctrl-C: finish the chunks begun, no more


def _start_worker():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which winds up
    cv2.setNumThreads(0)  # one core for each process


def _write_chunk(root, seed, split_name, indices):
    """Write some images; returns {file: SHA-256} and for each image whether it was there."""
    hashes, kept = {}, []
    for index in indices:
        files = _files(SPLITS[split_name], index)
        kept.append(all(_is_whole(root / file) for file in files))
        if not kept[-1]:
            _write_image(root, SPLITS[split_name], seed, index)
        hashes |= {file: hashlib.sha256((root / file).read_bytes()).hexdigest() for file in files}
    return hashes, kept


def _files(split, index):
    image = image_name(split, index)
    return [image, label_name(split, index)] if split.kind == "scenes" else [image]


def _write_image(root, split, seed, index):
    scene = plan_item(split, seed, index).scene
    image, elements = render(scene)
    with atomic_path(root / image_name(split, index)) as temporary:
        Image.fromarray(image).save(
            temporary, format="JPEG", quality=JPEG_QUALITY, subsampling="4:4:4"
        )
    if split.kind == "scenes":
        labels = to_labels(scene, elements, LABEL_SETS[split.name])
        with atomic_path(root / label_name(split, index)) as temporary:
            Image.fromarray(labels).save(temporary, format="PNG")


def _is_whole(path):
    """True if a JPEG or PNG file is there to its end."""
    end = _PNG_END if Path(path).suffix == ".png" else _JPEG_END
    try:
        with open(path, "rb") as file:
            file.seek(-len(end), os.SEEK_END)
            return file.read() == end
    except OSError:  # no such file, or shorter than its end
        return False
