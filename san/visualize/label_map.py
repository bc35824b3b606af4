"""Arithmetic on label maps: (H,W) integers, position in the vocabulary, -1 for none."""

import numpy as np


def class_shares(label_map):
    """Share of the pixels of every label that is present -> {label: 0..1}, largest first."""
    labels, counts = np.unique(label_map, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {int(labels[i]): float(counts[i] / label_map.size) for i in order}


def resize_labels(label_map, height, width):
    """Nearest neighbor at pixel centers -> (height,width), for integers of any type."""
    rows = (np.arange(height) + 0.5) * label_map.shape[0] / height
    columns = (np.arange(width) + 0.5) * label_map.shape[1] / width
    return label_map[rows.astype(int)[:, None], columns.astype(int)[None]]


def find_borders(label_map):
    """(H,W) uint8: 1 where the pixel to the right or the pixel below has another label."""
    borders = np.zeros(label_map.shape, np.uint8)
    borders[:, :-1] |= label_map[:, 1:] != label_map[:, :-1]
    borders[:-1] |= label_map[1:] != label_map[:-1]
    return borders
