"""Paint a planned scene: stuff, things with shadow and shading, light, lens and sensor.

Shapes: H, W image; h, w the part of it that a thing touches.
"""

import math

import cv2
import numpy as np

from .classes import CLASSES
from .layout import lay_out
from .looks import LOOKS
from .noise import smooth_noise
from .shapes import contrast_color, draw_shape, pattern_share, sample_color
from .textures import TEXTURES


def render(scene):
    """Paint a scene.

    Args:
        scene (Scene).
    Returns:
        image: (H, W, 3) uint8 RGB.
        elements: (H, W) uint8, what each pixel shows: i < K for ``scene.stuff[i]``, K + j for
            ``scene.things[j]``; K is 1 where the background is a plain color.
    """
    rng = np.random.default_rng(scene.seed)
    size = (scene.height, scene.width)
    unit = min(size) / 64 * rng.uniform(0.8, 1.5)  # pixels
    image, elements = _paint_stuff(rng, scene, size, unit)
    sun = rng.uniform(0, 2 * math.pi)
    for index, thing in enumerate(scene.things):
        _paint_thing(rng, image, elements, thing, max(1, len(scene.stuff)) + index, sun)
    image *= _light(rng, size)
    if scene.look in LOOKS:
        image = LOOKS[scene.look](rng, np.clip(image, 0, 255), elements, unit)
    return _expose(rng, image, unit), elements


def _paint_stuff(rng, scene, size, unit):
    if not scene.stuff:
        plain = np.float32(rng.uniform(90, 215) + rng.uniform(-25, 25, 3))  # (3,)
        return plain + 4 * smooth_noise(rng, size, 16 * unit)[..., None], np.zeros(size, np.uint8)
    elements = lay_out(rng, scene.layout, size, len(scene.stuff))  # (H, W)
    image = TEXTURES[CLASSES[scene.stuff[0]].name](rng, size, unit)
    for index, class_id in enumerate(scene.stuff[1:], start=1):
        texture = TEXTURES[CLASSES[class_id].name](rng, size, unit)
        share = cv2.GaussianBlur((elements == index).astype(np.float32), (0, 0), 0.6)
        image += (texture - image) * share[..., None]
    return image, elements


def _paint_thing(rng, image, elements, thing, element, sun):
    """Draw a thing and its shadow into image and elements."""
    shape, radius = CLASSES[thing.class_id].shape, thing.radius
    reach = math.ceil(1.7 * radius) + 2
    left, top = max(0, int(thing.x) - reach), max(0, int(thing.y) - reach)
    part = np.s_[top : int(thing.y) + reach + 1, left : int(thing.x) + reach + 1]
    pixels, size = image[part], elements[part].shape  # (h, w, 3)
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    matrix = radius * np.array([[cos, -sin], [sin, cos]]) * (thing.squash, 1 / thing.squash)
    transform = np.c_[matrix, (thing.x - left, thing.y - top)]
    mask = draw_shape(shape, size, transform)  # (h, w)

    offset = radius * rng.uniform(0.1, 0.3)
    shadow = cv2.warpAffine(
        mask,
        np.float32([[1, 0, offset * math.cos(sun)], [0, 1, offset * math.sin(sun)]]),
        size[::-1],
    )
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.3 + 0.09 * radius)
    pixels *= 1 - np.float32(rng.uniform(0.3, 0.6) / 255) * shadow[..., None]

    share = mask[..., None] * np.float32(1 / 255)
    pixels += (_surface(rng, thing, mask, transform, sun) - pixels) * share
    elements[part][mask >= 128] = element


def _surface(rng, thing, mask, transform, sun):
    """(h, w, 3) float32: color, pattern and shading of a thing, everywhere around it."""
    size = mask.shape
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    to_outline = np.linalg.inv(transform[:, :2]).astype(np.float32)
    x, y = x - np.float32(transform[0, 2]), y - np.float32(transform[1, 2])
    across = to_outline[0, 0] * x + to_outline[0, 1] * y
    down = to_outline[1, 0] * x + to_outline[1, 1] * y
    base = sample_color(rng, CLASSES[thing.class_id].color)  # (3,)
    turn = rng.uniform(0, math.pi)
    u = math.cos(turn) * across + math.sin(turn) * down
    v = math.cos(turn) * down - math.sin(turn) * across
    second = pattern_share(thing.pattern, u, v, rng.uniform(0, 2 * math.pi))[..., None]
    color = base + (contrast_color(base) - base) * second

    toward_sun = (math.cos(sun) * x + math.sin(sun) * y) / np.float32(thing.radius)
    shade = 1 - np.float32(rng.uniform(0.05, 0.16)) * toward_sun
    shade += 0.03 * smooth_noise(rng, size, max(2.0, thing.radius / 5))
    depth = cv2.distanceTransform((mask >= 128).astype(np.uint8), cv2.DIST_L2, 3)
    rim = np.clip(depth / np.float32(0.5 + 0.09 * thing.radius), 0, 1)
    return color * (shade * (0.72 + 0.28 * rim))[..., None]


def _light(rng, size):
    """(H, W, 3) float32 factors: brightness, its fall across the image, a tint."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in size)
    fall = math.cos(angle) * x[None, :] + math.sin(angle) * y[:, None]
    brightness = rng.uniform(0.74, 1.04) + np.float32(rng.uniform(0, 0.35)) * fall
    tint = rng.uniform(0.95, 1.05, 3)
    return (brightness[..., None] * tint).astype(np.float32)


def _expose(rng, image, unit):
    """Blur of the lens, noise of the sensor: (H, W, 3) float32 -> uint8."""
    sigma = rng.uniform(0, 0.4) * unit
    if sigma > 0.3:  # pixels; less is no blur
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32)  # of brightness, as in raw files
    image = image + np.float32(rng.uniform(0.5, 6)) * noise[..., None]
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
