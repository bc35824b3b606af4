"""Images and targets to measure with, drawn; the same ones every time."""

import numpy as np
import torch
from detectron2.structures import Instances
from PIL import Image

NUM_TARGETS = 8  # classes in a training image; a crop of COCO-Stuff has about as many
_REGIONS = 24
_SEED = 0


def draw_regions(size, seed=_SEED):
    """Cells of random points, which are nearest to them: (H, W) int64, 0 .. 23."""
    rng = np.random.default_rng(seed)
    points = rng.random((_REGIONS, 2)).astype(np.float32) * size  # (n, 2)
    rows, columns = (np.arange(length, dtype=np.float32) for length in size)
    nearest = np.full(size, np.inf, np.float32)
    regions = np.zeros(size, np.int64)
    for index, (y, x) in enumerate(points):
        distance = (rows[:, None] - y) ** 2 + (columns - x) ** 2
        closer = distance < nearest
        nearest[closer], regions[closer] = distance[closer], index
    return regions


def draw_image(size, seed=_SEED):
    """Regions of one color each under noise, as (H, W, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (_REGIONS, 3), dtype=np.int16)
    noise = rng.integers(-20, 21, (*size, 1), dtype=np.int16)
    return np.clip(colors[draw_regions(size, seed)] + noise, 0, 255).astype(np.uint8)


def write_image(path, size):
    """Write a drawn image as JPEG, of the quality that cameras and data sets have."""
    Image.fromarray(draw_image(size)).save(path, quality=92)


def training_inputs(size, batch_size, words):
    """Model inputs of a training step: images of ``size`` (H, W) with NUM_TARGETS classes each."""
    inputs = []
    for seed in range(batch_size):
        regions = torch.from_numpy(draw_regions(size, seed)) % NUM_TARGETS
        instances = Instances(size)
        instances.gt_classes = torch.arange(NUM_TARGETS) % len(words)
        instances.gt_masks = torch.stack([regions == i for i in range(NUM_TARGETS)])  # (N, H, W)
        image = torch.from_numpy(draw_image(size, seed)).permute(2, 0, 1).contiguous()
        inputs.append({"image": image, "instances": instances, "vocabulary": words, "seed": seed})
    return inputs
