"""What there is in ShapeScenes: every split, its size and how its images are planned.

Image number i of a split follows from the seed, the split's name and i alone. No two splits share
random numbers, and none of them depends on how many images are made.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .captions import captions_of, choose_mention, content_of
from .classes import CLASSES, THING_IDS
from .looks import LOOKS
from .scene import Scene, plan_crop, plan_scene, plan_window, pool_of

VERSION = 5  # raise it when the same seed gives other images or captions

UNSEEN_SHARE = 0.3  # of the training scenes may contain unseen classes, which stay unlabeled
# Kinds of captioned images, with their shares. Scenes are small, so short to describe.
CAPTIONED = {"one": 0.3, "window": 0.4, "stuff": 0.12, "scene": 0.18}
THINGS_IN_SCENES = {"stuff": (0, 0), "scene": (1, 3)}

ALL = pool_of(lambda c: True)
SEEN = pool_of(lambda c: c.seen)


def _plan_captioned(rng, index, seed):
    """One thing close up, a window of a scene, stuff alone, or a small scene."""
    kind = rng.choice(list(CAPTIONED), p=list(CAPTIONED.values()))
    if kind in THINGS_IN_SCENES:
        return plan_scene(rng, ALL, seed, max_side=160, num_things=THINGS_IN_SCENES[kind])
    return (plan_crop if kind == "one" else plan_window)(rng, ALL, seed)


def _plan_class_crop(rng, index, seed):
    """One thing that takes up most of the image, class after class."""
    class_id = THING_IDS[index % len(THING_IDS)]
    return plan_crop(rng, ALL, seed, class_id, radius=(0.27, 0.47))


def _plan_train(rng, index, seed):
    return plan_scene(rng, ALL if rng.random() < UNSEEN_SHARE else SEEN, seed)


def _plan_val(rng, index, seed):
    return plan_scene(rng, ALL, seed)


def _plan_shift(rng, index, seed):
    return plan_scene(rng, ALL, seed, look=list(LOOKS)[index % len(LOOKS)])


@dataclass(frozen=True)
class Split:
    """One folder of images.

    Attributes:
        name: of the folder, and of the data set behind "shapescenes_".
        num_images: at scale 1.
        plan: (rng, index, painting seed) -> Scene.
        kind: "captions", "crops" or "scenes": whether captions, a class or a label map come along.
    """

    name: str
    num_images: int
    plan: Callable
    kind: str = "scenes"


SPLITS = {
    split.name: split
    for split in (
        Split("captions_train", 64000, _plan_captioned, "captions"),
        Split("captions_val", 1000, _plan_captioned, "captions"),
        Split("crops_val", 2048, _plan_class_crop, "crops"),
        Split("train", 10000, _plan_train),
        Split("val", 500, _plan_val),
        Split("synonyms_val", 300, _plan_val),
        Split("fine_val", 600, _plan_val),
        Split("coarse_val", 300, _plan_val),
        Split("colors_val", 300, _plan_val),
        Split("shift_val", 400, _plan_shift),
        Split("many_val", 300, _plan_val),
    )
}


@dataclass(frozen=True)
class Item:
    """One image of a split before it is painted.

    Attributes:
        scene: its plan.
        captions, content: what describes it, see `captions`; None but in splits with captions.
    """

    scene: Scene
    captions: list[str] | None = None
    content: str | None = None


def plan_item(split, seed, index):
    """Plan one image.

    Args:
        split (Split).
        seed (int): of the data set, 0 or more.
        index (int): number of the image in the split.
    Returns:
        Item
    """
    stream = (seed, zlib.crc32(split.name.encode()), index)
    rng = np.random.default_rng((*stream, 0))
    scene = split.plan(rng, index, seed=(*stream, 1))
    if split.kind != "captions":
        return Item(scene)
    mention = choose_mention(rng, scene)
    return Item(scene, captions_of(rng, scene, mention), content_of(scene, mention))


def thing_class(item):
    """Class id of the thing in an image of one thing; a position in `CLASSES`."""
    (thing,) = item.scene.things
    assert CLASSES[thing.class_id].is_thing
    return thing.class_id
