"""Other domains: looks that no training image has.

Each takes a generator, the painted image (H, W, 3) float32 of 0 to 255, what its pixels show
(H, W) uint8, and the unit in pixels, and gives the image in its look.
"""

import cv2
import numpy as np

from .noise import smooth_noise


def night(rng, image, elements, unit):
    """Dark and bluish, under a lamp."""
    height, width = elements.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    lamp_y, lamp_x = rng.uniform(0.1, 0.9) * height, rng.uniform(0.1, 0.9) * width
    distance = np.hypot(y - lamp_y, x - lamp_x) / np.float32(0.45 * max(height, width))
    lamp = np.exp(-(distance**2))[..., None]  # (H, W, 1)
    moonlight, lamplight = np.float32([0.26, 0.31, 0.46]), np.float32([0.62, 0.52, 0.3])
    grain = rng.standard_normal(elements.shape, dtype=np.float32)[..., None]
    return image * (moonlight + lamplight * lamp) + 6 * grain


def sketch(rng, image, elements, unit):
    """Pencil on paper: outlines, hatching where it is dark, washed-out color."""
    width = max(1.0, 0.5 * unit)
    grey = image.mean(-1)  # (H, W)
    lines = cv2.GaussianBlur(grey, (0, 0), 1.6 * width) - cv2.GaussianBlur(
        grey, (0, 0), 0.7 * width
    )
    edges = cv2.morphologyEx(elements, cv2.MORPH_GRADIENT, np.ones((2, 2))) > 0
    edges = cv2.GaussianBlur(edges.astype(np.float32), (0, 0), 0.6 * width)
    ink = np.clip(lines / 30, 0, 0.5) + np.clip(1.6 * edges, 0, 0.9)
    y, x = np.mgrid[: elements.shape[0], : elements.shape[1]].astype(np.float32)
    hatching = np.sin((x + y) * np.float32(2.2 / width)) > 0.3
    ink += 0.35 * hatching * np.clip((120 - grey) / 120, 0, 1)
    paper = 238 + 6 * smooth_noise(rng, elements.shape, 1.5 * unit)[..., None]
    washed = 0.55 * image + 0.45 * paper
    return washed * (1 - np.clip(ink, 0, 0.9))[..., None]


def fog(rng, image, elements, unit):
    """Pale and low in contrast, in drifting banks."""
    banks = smooth_noise(rng, elements.shape, (10 * unit, 30 * unit), 2)
    density = np.clip(0.52 + 0.13 * banks, 0.2, 0.78)[..., None]
    return image * (1 - density) + np.float32([206, 211, 216]) * density


def poster(rng, image, elements, unit):
    """Flat colors in few steps, with dark outlines."""
    flat = image.copy()
    side = 2 * max(1, round(1.2 * unit)) + 1
    flat = cv2.medianBlur(flat.astype(np.uint8), side).astype(np.float32)
    steps = np.round(flat / 48) * 48
    edges = cv2.morphologyEx(elements, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    return np.where(edges[..., None], np.float32(24), steps)


LOOKS = {"night": night, "sketch": sketch, "fog": fog, "poster": poster}
