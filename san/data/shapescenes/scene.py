"""The plan of an image: what is where, and in which light. Cheap to make; ``render`` paints it.

Planning and painting are apart so that captions and truth need no painting.
"""

import math
from dataclasses import dataclass

import numpy as np

from .classes import CLASSES
from .layout import LAYOUTS

MIN_SIDE, MAX_SIDE = 128, 640  # of scenes, pixels
CROP_SIDES = (48, 96)  # of images with one or two things, pixels
PATTERN_SHARES = {"plain": 0.7, "striped": 0.15, "dotted": 0.15}
MAX_OVERLAP = 0.3  # of a thing's extent by one drawn later


@dataclass(frozen=True)
class Thing:
    """One colored shape.

    Attributes:
        class_id: position in `CLASSES`.
        pattern: key of `PATTERNS`.
        x, y, radius: center and half extent in pixels.
        angle: radians, clockwise.
        squash: width over height before turning, about 1.
    """

    class_id: int
    pattern: str
    x: float
    y: float
    radius: float
    angle: float
    squash: float


@dataclass(frozen=True)
class Scene:
    """One image before it is painted.

    Attributes:
        height, width: pixels.
        stuff: class ids; empty: one plain color as the background.
        layout: key of `LAYOUTS`, how the stuff shares the image.
        things: from back to front.
        look: "photo", or a key of `looks.LOOKS`, for another domain.
        seed: decides everything random in painting.
    """

    height: int
    width: int
    stuff: tuple[int, ...]
    layout: str
    things: tuple[Thing, ...]
    look: str
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Pool:
    """Class ids that an image may be made of: THINGS and STUFF, tuples of int."""

    things: tuple[int, ...]
    stuff: tuple[int, ...]


def pool_of(keep):
    """The `Pool` of all classes for which ``keep(class)`` is true."""
    ids = [i for i, c in enumerate(CLASSES) if keep(c)]
    return Pool(
        tuple(i for i in ids if CLASSES[i].is_thing),
        tuple(i for i in ids if not CLASSES[i].is_thing),
    )


def plan_scene(rng, pool, seed, look="photo", max_side=MAX_SIDE, num_things=(1, 3)):
    """A scene of 1 to 3 kinds of stuff with things of many sizes.

    Args:
        rng (np.random.Generator).
        pool (Pool).
        seed (tuple[int, ...]): of the painting.
        max_side (int): longer side at most, in pixels; at least `MIN_SIDE`.
        num_things (tuple[int, int]): fewest and most.
    Returns:
        Scene
    """
    height, width = _scene_size(rng, max_side)
    num_stuff = min(len(pool.stuff), rng.choice(3, p=(0.25, 0.45, 0.3)) + 1)
    stuff = rng.choice(pool.stuff, num_stuff, replace=False).tolist()
    layout = rng.choice(list(LAYOUTS))
    if layout == "bands" and "sky" in (names := [CLASSES[i].name for i in stuff]):
        stuff.insert(0, stuff.pop(names.index("sky")))
    things = []
    for class_id in rng.choice(pool.things, rng.integers(num_things[0], num_things[1] + 1)):
        radius = min(height, width) * 0.15 * (0.38 / 0.15) ** rng.random()
        _place(rng, things, int(class_id), radius, (height, width))
    return Scene(height, width, tuple(stuff), str(layout), tuple(things), look, seed)


def plan_crop(rng, pool, seed, num_things, class_id=None, radius=(0.18, 0.47)):
    """A small image of no, one or two things on one kind of stuff or, with things, a plain color.

    Args:
        class_id (int | None): the class of the first thing; None: drawn from the pool.
        radius (tuple[float, float]): limits of a lone thing's, shares of the side.
    Returns:
        Scene
    """
    side = int(rng.integers(CROP_SIDES[0], CROP_SIDES[1] + 1))
    size = (side, side)
    class_ids = rng.choice(pool.things, num_things, replace=False).tolist()
    if class_id is not None:
        class_ids[0] = class_id
    things = []
    for thing in class_ids:
        limits = radius if num_things == 1 else (0.15, 0.27)
        _place(rng, things, thing, side * rng.uniform(*limits), size, inside=True)
    has_stuff = num_things == 0 or rng.random() < 0.75
    stuff = (int(rng.choice(pool.stuff)),) if has_stuff else ()
    return Scene(side, side, stuff, "bands", tuple(things), "photo", seed)


def _scene_size(rng, max_side):
    """(height, width): the longer side mostly small, aspect ratios up to about 1.4, both ways."""
    longer = MIN_SIDE * (max_side / MIN_SIDE) ** (rng.random() ** 1.5)
    shorter = max(MIN_SIDE, longer * rng.uniform(0.7, 1))
    size = (round(longer), round(shorter))
    return size if rng.random() < 0.35 else size[::-1]


def _place(rng, things, class_id, radius, size, inside=False):
    """Append a thing where it hides none of the others; none where 20 tries find no place.

    Args:
        inside (bool): the image's border does not cut the thing.
    """
    height, width = size
    margin = radius if inside else radius / 3
    for _ in range(20):
        y, x = rng.uniform(margin, height - margin), rng.uniform(margin, width - margin)
        if all(_overlap(other, x, y, radius) <= MAX_OVERLAP for other in things):
            pattern = rng.choice(list(PATTERN_SHARES), p=list(PATTERN_SHARES.values()))
            angle = rng.normal(0, math.radians(10))
            squash = rng.uniform(0.92, 1.08)
            things.append(Thing(class_id, str(pattern), x, y, radius, angle, squash))
            return


def _overlap(other, x, y, radius):
    """Share of the other's extent that a thing here hides, along the line of the centers."""
    gap = math.hypot(other.x - x, other.y - y) - radius - other.radius
    return np.clip(-gap / (2 * other.radius), 0, 1)
