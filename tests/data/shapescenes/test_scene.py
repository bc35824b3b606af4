"""Plans of images: ranges, classes, determinism."""

import hashlib
import json
from dataclasses import asdict

import numpy as np

from san.data.shapescenes.classes import CLASSES
from san.data.shapescenes.scene import MAX_SIDE, MIN_SIDE, plan_crop, plan_scene, plan_window
from san.data.shapescenes.splits import ALL, SEEN, SPLITS, VERSION, plan_item


def _generator(*seed):
    return np.random.default_rng(seed)


def test_scenes_are_of_many_sizes_and_contents():
    scenes = [plan_scene(_generator(1, i), SEEN, (0,)) for i in range(300)]
    sides = [side for scene in scenes for side in (scene.height, scene.width)]
    assert MIN_SIDE <= min(sides) < max(sides) <= MAX_SIDE
    assert min(sides) < 140 and max(sides) > 560
    assert any(s.height > s.width for s in scenes) and any(s.height < s.width for s in scenes)
    assert {len(s.stuff) for s in scenes} == {1, 2, 3}
    assert {s.layout for s in scenes} == {"bands", "patches", "islands"}
    assert {len(s.things) for s in scenes} == {1, 2, 3}
    relative = [t.radius / min(s.height, s.width) for s in scenes for t in s.things]
    assert 0.15 <= min(relative) < 0.16 and 0.36 < max(relative) <= 0.38
    assert {t.class_id for s in scenes for t in s.things} == set(SEEN.things)
    assert {i for s in scenes for i in s.stuff} == set(SEEN.stuff)


def test_sky_is_the_highest_band():
    sky = next(i for i, c in enumerate(CLASSES) if c.name == "sky")
    scenes = [plan_scene(_generator(2, i), SEEN, (0,)) for i in range(100)]
    with_sky = [s for s in scenes if s.layout == "bands" and sky in s.stuff]
    assert len(with_sky) > 3 and all(s.stuff[0] == sky for s in with_sky)


def test_crop_holds_its_thing_whole():
    crops = [plan_crop(_generator(3, i), ALL, (0,)) for i in range(150)]
    for crop in crops:
        assert crop.height == crop.width and 48 <= crop.width <= 96
        (thing,) = crop.things
        assert thing.radius <= thing.x <= crop.width - thing.radius
        assert thing.radius <= thing.y <= crop.height - thing.radius
    assert {len(crop.stuff) for crop in crops} == {0, 1}


def test_window_is_about_one_thing_and_others_reach_into_it():
    windows = [plan_window(_generator(4, i), ALL, (0,)) for i in range(300)]
    assert {w.height - w.width for w in windows} == {0}
    assert {w.width for w in windows} <= set(range(48, 97))
    for window in windows:
        assert any(
            t.radius <= t.x <= window.width - t.radius
            and t.radius <= t.y <= window.height - t.radius
            and 1 / 2.4 <= 2 * t.radius / window.width <= 1 / 1.1
            for t in window.main_things
        )
    num_main = np.bincount([len(w.main_things) for w in windows])
    assert num_main[0] == 0 and num_main[1] > num_main[2] > 10
    reaching = [t for w in windows for t in w.things if t not in w.main_things]
    assert len(reaching) > 30
    assert all(any(-t.radius < c < 0 or c >= 48 for c in (t.x, t.y)) for t in reaching)


def test_every_class_has_its_turn_in_the_crops_and_fills_them():
    crops = [plan_item(SPLITS["crops_val"], 0, i).scene for i in range(128)]
    assert [crop.things[0].class_id for crop in crops] == [*range(64), *range(64)]
    assert all(0.27 <= crop.things[0].radius / crop.width <= 0.47 for crop in crops)


def test_most_captioned_images_show_one_thing():
    scenes = [plan_item(SPLITS["captions_train"], 0, i).scene for i in range(400)]
    assert max(max(s.height, s.width) for s in scenes) <= 160
    shares = np.bincount([len(s.main_things) for s in scenes]) / len(scenes)
    assert shares[1] > 0.5 and all(shares[[0, 2, 3]] > 0.05) and len(shares) == 4


def test_an_image_depends_on_seed_split_and_number_alone():
    item = plan_item(SPLITS["val"], 0, 5)
    assert item == plan_item(SPLITS["val"], 0, 5)
    others = [plan_item(SPLITS["val"], 1, 5), plan_item(SPLITS["val"], 0, 6)]
    others += [plan_item(SPLITS[name], 0, 5) for name in SPLITS if name != "val"]
    assert len({(i.scene.seed, i.scene.things) for i in (item, *others)}) == len(SPLITS) + 2


def test_a_change_of_the_plans_is_a_new_version():
    """If this fails, the same seed gives other images than before: raise VERSION, and pin anew."""
    items = [asdict(plan_item(split, 0, i)) for split in SPLITS.values() for i in range(8)]
    content = json.dumps(items, default=str)
    numbers = json.dumps(json.loads(content, parse_float=lambda text: f"{float(text):.6g}"))
    digest = hashlib.sha256(numbers.encode()).hexdigest()
    assert (VERSION, digest[:16]) == (5, "511fb5b897cba83e")
