"""The plan of an image: what is where, and in which light. Cheap to make; ``render`` paints it.

Planning and painting are apart so that captions and truth need no painting.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from .classes import CLASSES
from .layout import LAYOUTS

MIN_SIDE, MAX_SIDE = 128, 640  # of scenes, pixels
CROP_SIDES = (48, 96)  # of images of one thing and of windows, pixels
WINDOW_SIDES = (1.1, 2.4)  # of windows, in extents of the thing they are about
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

    @property
    def main_things(self):
        """Those with their center in the image, from back to front; others only reach into it."""
        return tuple(t for t in self.things if 0 <= t.x < self.width and 0 <= t.y < self.height)


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


def plan_window(rng, pool, seed):
    """A small square out of a scene, about one of its things; others may reach into it.

    Returns:
        Scene: at least one of its `main_things` is.
    """
    scene = plan_scene(rng, pool, seed)
    about = scene.things[rng.integers(len(scene.things))]
    side = 2 * about.radius * rng.uniform(*WINDOW_SIDES)
    room = max(0, side / 2 - about.radius)  # between the thing and the border, on either side
    left = about.x - side / 2 + rng.uniform(-room, room)
    top = about.y - side / 2 + rng.uniform(-room, room)
    pixels = int(rng.integers(CROP_SIDES[0], CROP_SIDES[1] + 1))
    scale = pixels / side
    moved = (
        replace(t, x=(t.x - left) * scale, y=(t.y - top) * scale, radius=t.radius * scale)
        for t in scene.things
    )
    things = tuple(t for t in moved if all(-t.radius < c < pixels + t.radius for c in (t.x, t.y)))
    return replace(scene, height=pixels, width=pixels, things=things)


def plan_crop(rng, pool, seed, class_id=None, radius=(0.18, 0.47)):
    """A small image of one thing on one kind of stuff or on a plain color.

    Args:
        class_id (int | None): the class of the thing; None: drawn from the pool.
        radius (tuple[float, float]): its limits, shares of the side.
    Returns:
        Scene
    """
    side = int(rng.integers(CROP_SIDES[0], CROP_SIDES[1] + 1))
    drawn = int(rng.choice(pool.things))
    things = []
    radius = side * rng.uniform(*radius)
    _place(rng, things, drawn if class_id is None else class_id, radius, (side, side), inside=True)
    stuff = (int(rng.choice(pool.stuff)),) if rng.random() < 0.75 else ()
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
