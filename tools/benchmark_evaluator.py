"""Time SemSegEvaluator against Detectron2's on the label maps of 847 classes.

    python tools/benchmark_evaluator.py [--images N] [--rounds N] [--size HEIGHT WIDTH]

Makes label maps as those of ADE20K-847 are on disk (16-bit TIFF, 65535 to ignore) and predictions
for them, then lets both evaluators process the same images by turns, A B A B, and prints the
processor time per image of :meth:`process`, which reads the label map, on one thread, and its ratio
in each round. The metrics of both are compared as well. Three ways of being given a prediction:

    label map   ours gets (H, W) labels; Detectron2's, which takes the argmax of a score volume,
                gets an object whose argmax is those labels and costs nothing
    counts only the same, and Detectron2's is spared its list of predictions in run-length code,
                for which ours has no counterpart in memory
    scores      both get the same (847, H, W) float32 scores, and have to take the argmax
"""

import argparse
import math
import pickle
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import SemSegEvaluator as Detectron2Evaluator
from PIL import Image
from scipy.spatial import cKDTree

from san.evaluation import SemSegEvaluator, SemSegOptions

NAME = "benchmark_evaluator"
NUM_CLASSES, IGNORE_LABEL = 847, 65535
REGIONS = 60  # of an image; ADE20K-847 has about 20 classes and 60 objects in one
OPTIONS = SemSegOptions(bootstrap_replicates=1000)  # those of train_net.py


class Decided:
    """A prediction that looks like scores, but whose argmax is known."""

    def __init__(self, label_map):
        self.label_map = label_map

    def argmax(self, dim):
        """(H, W) int64 tensor."""
        return self.label_map


class CountsOnly(Detectron2Evaluator):
    """Detectron2's evaluator without the list of predictions."""

    def encode_json_sem_seg(self, sem_seg, input_file_name):
        """Nothing to add to the list."""
        return []


def make_image(size, seed):
    """Label map and prediction (H, W) int64: cells of random points, many of them right."""
    rng = np.random.default_rng(seed)
    points = rng.random((REGIONS, 2)) * size
    pixels = np.stack(np.mgrid[: size[0], : size[1]], axis=-1)  # (H, W, 2)
    shown = rng.choice(NUM_CLASSES, 20)
    cell = cKDTree(points).query(pixels)[1]
    moved = cKDTree(points + rng.normal(0, 4, points.shape)).query(pixels)[1]
    target = rng.choice(shown, REGIONS)
    guess = np.where(rng.random(REGIONS) < 0.5, target, rng.choice(NUM_CLASSES, REGIONS))
    target, guess = target[cell], guess[moved]
    target[:, : size[1] // 20] = IGNORE_LABEL
    return target, guess


def make_dataset(folder, num_images, size):
    """Write and register label maps -> records, predictions (H, W) int64 tensors."""
    records, predictions = [], []
    for index in range(num_images):
        target, guess = make_image(size, index)
        path = Path(folder) / f"ADE_val_{index + 1:08d}.tif"
        Image.fromarray(target.astype(np.uint16)).save(path)
        records.append({"file_name": str(path.with_suffix(".jpg")), "sem_seg_file_name": str(path)})
        predictions.append(torch.from_numpy(guess))
    DatasetCatalog.register(NAME, lambda: records)
    names = [f"class {index}" for index in range(NUM_CLASSES)]
    MetadataCatalog.get(NAME).set(stuff_classes=names, ignore_label=IGNORE_LABEL)
    return records, predictions


def load(path, dtype):
    """What Detectron2's evaluator reads label maps with; its own loader fails under NumPy 2."""
    return np.asarray(Image.open(path)).astype(dtype)


def make_scores(labels, seed):
    """(847, H, W) float32 with its largest value where the labels say."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(NUM_CLASSES, *labels.shape, generator=generator)
    return scores.scatter_(0, labels[None], 2.0)


def forms(way, labels, seed):
    """Outputs of a model for Detectron2's evaluator and for ours."""
    if way == "scores":
        scores = {"sem_seg": make_scores(labels, seed)}
        return scores, scores
    return {"sem_seg": Decided(labels)}, {"label_map": labels.int()}


def seconds(evaluator, record, output):
    """Processor time of one process(): other work on the machine hardly changes it."""
    start = time.process_time()
    evaluator.process([record], [output])
    return time.process_time() - start


def kept(evaluator):
    """Megabytes that an evaluator keeps."""
    return len(pickle.dumps(vars(evaluator))) / 1e6


def compare(way, records, predictions, rounds):
    """Print times and memory of one way, and check that results are equal."""
    theirs_class = CountsOnly if way == "counts only" else Detectron2Evaluator
    theirs = theirs_class(NAME, sem_seg_loading_fn=load)
    ours = SemSegEvaluator(NAME, options=OPTIONS)
    ratios = []
    for number in range(1, rounds + 1):
        theirs.reset(), ours.reset()
        times = {theirs: 0.0, ours: 0.0}
        for seed, (record, labels) in enumerate(zip(records, predictions, strict=True)):
            if seed == len(records) // 2:
                half = kept(theirs), kept(ours)
            for evaluator, output in zip(times, forms(way, labels, seed), strict=True):
                times[evaluator] += seconds(evaluator, record, output)
        ratios.append(times[theirs] / times[ours])
        per_image = [1000 * t / len(records) for t in times.values()]
        print(
            f"{way}, round {number}: Detectron2 {per_image[0]:.1f} ms, ours {per_image[1]:.1f} ms "
            f"per image, ratio {ratios[-1]:.1f}"
        )
    growth = kept(theirs) - half[0], kept(ours) - half[1]
    print(
        f"{way}: ratio {statistics.median(ratios):.1f} (median); kept for the second half of the "
        f"images: Detectron2 {growth[0]:.2f} MB, ours {growth[1]:.2f} MB"
    )
    _check_equal(theirs.evaluate()["sem_seg"], ours.evaluate()["sem_seg"])
    return statistics.median(ratios)


def _check_equal(theirs, ours):
    for key, value in theirs.items():
        if not (math.isnan(value) and math.isnan(ours[key])):
            assert math.isclose(value, ours[key], rel_tol=1e-12), (key, value, ours[key])
    print(f"the {len(theirs)} metrics are equal, mIoU {ours['mIoU']:.2f}\n")


def main(argv=None):
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(960, 1280), metavar=("H", "W"))
    parser.add_argument("--score-size", type=int, nargs=2, default=(512, 683), metavar=("H", "W"))
    parser.add_argument("--score-images", type=int, default=2, help="0: no scores")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    for ways, num_images, size in (
        (("label map", "counts only"), args.images, args.size),
        (("scores",), args.score_images, args.score_size),
    ):
        with tempfile.TemporaryDirectory() as folder:
            if not num_images:
                continue
            records, predictions = make_dataset(folder, num_images, tuple(size))
            print(f"{num_images} images of {size[0]} x {size[1]}, {NUM_CLASSES} classes")
            for way in ways:
                compare(way, records, predictions, args.rounds)
            DatasetCatalog.remove(NAME)
            MetadataCatalog.remove(NAME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
