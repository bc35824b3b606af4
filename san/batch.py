"""Segment many images: read ahead and write behind, while the model runs."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from san.errors import UserError
from san.image_io import read_image
from san.truth import describe_metrics

_WORKERS = 4  # threads that decode and encode images
_AHEAD = 3  # images in memory on either side of the model


class Outcome(NamedTuple):
    """What became of one image: a ``record`` of its results, or an ``error`` message."""

    path: Path
    record: dict | None
    error: str | None
    matrix: np.ndarray | None = None  # (C + 1, C + 1), [predicted, true], where the truth is known


def segment_files(
    segmenter,
    inputs,
    vocabulary,
    output,
    background_threshold=None,
    truth=None,
    with_ids=False,
    go_on=lambda: True,
):
    """Segment images and write their overlays and labels below a folder.

    Args:
        segmenter: `san.predictor.Segmenter`.
        inputs: sequence of `san.inputs.Input`.
        vocabulary: `Vocabulary`.
        output: folder of the results.
        background_threshold: as in `Segmenter`.
        with_ids: write the vocabulary's ids into the label files, not positions.
        truth: `san.truth.Truth`; results are compared with it, and a picture is drawn of both.
        go_on: asked before each image; False ends the run behind those that are under way.

    Yields:
        Outcome of each image, in order, its files being written. A bad image has an error and does
        not end the run.
    """

    def read(item):
        return item, *_attempt(read_image, item.path)

    def segment(loaded):
        item, pixels, error = loaded
        if error is not None:
            return item, None, 0.0, error
        start = perf_counter()
        result, error = _attempt(segmenter, pixels, vocabulary, background_threshold)
        return item, result, perf_counter() - start, error

    def write(segmented):
        item, result, seconds, error = segmented
        record = matrix = None
        if error is None:
            record, error = _attempt(_write_result, item, result, seconds, output, with_ids)
        if error is None and truth is not None:
            matrix, error = _attempt(_compare, item, result, truth, record, output)
        return Outcome(item.path, None if error else record, error, matrix)

    with ThreadPoolExecutor(_WORKERS) as pool:
        loaded = _run_ahead(pool, read, inputs)
        segmented = map(segment, takewhile(lambda _: go_on(), loaded))
        yield from _run_ahead(pool, write, segmented)


def _run_ahead(pool, function, items):
    """Like ``map(function, items)``, with a few calls under way in ``pool``."""
    pending = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > _AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _attempt(function, *args):
    """Call a function -> (result, None), or (None, message) where the input cannot be used."""
    try:
        return function(*args), None
    except UserError as error:
        return None, str(error)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "out of memory" not in str(error):
            raise
        return None, f"not enough memory for this image ({error}): scale it down"


def _write_result(item, result, seconds, output, with_ids):
    """Write one image's files -> its record for predictions.json."""
    overlay, labels = result.save(Path(output, item.name), with_ids)
    height, width = result.label_map.shape
    return {
        "file": str(item.path),
        "overlay": overlay.relative_to(output).as_posix(),
        "labels": labels.relative_to(output).as_posix(),
        "height": height,
        "width": width,
        "seconds": round(seconds, 4),
        "classes": describe_classes(result.label_map, result.scores, result.vocabulary),
    }


def _compare(item, result, truth, record, output):
    """Compare a result with the truth, write a picture of both -> confusion matrix."""
    true = truth.read(item.name, result.label_map.shape)
    matrix = truth.count(result.label_map, true)
    record["metrics"] = describe_metrics(matrix, result.names)
    path = result.save_comparison(Path(output, item.name), true, record["metrics"]["mIoU"])
    record["comparison"] = path.relative_to(output).as_posix()
    return matrix


def describe_classes(label_map, scores, vocabulary):
    """Describe the classes present, largest first -> list of dict.

    Each has "name", "index" (position in the vocabulary), "id", "area" in pixels, "share" of the
    image, 0..1, "score" (mean over its pixels) and "segmentation", its mask as COCO RLE.
    """
    count = len(vocabulary.names) + 1  # "none" is first
    flat = label_map.ravel() + 1
    areas = np.bincount(flat, minlength=count)[1:]
    sums = np.bincount(flat, scores.ravel(), minlength=count)[1:]
    columns = np.asfortranarray(label_map)  # as COCO's runs go
    classes = []
    for index in np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)].tolist():
        rle = coco_mask.encode((columns == index).view(np.uint8))
        classes.append(
            {
                "name": vocabulary.names[index],
                "index": index,
                "id": vocabulary.ids[index],
                "area": int(areas[index]),
                "share": round(areas[index] / label_map.size, 6),
                "score": round(sums[index] / areas[index], 6),
                "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode()},
            }
        )
    return classes
