"""Painted images: things have their shape and color, stuff lies where the plan says."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest

from san.data.shapescenes.classes import CLASSES, COLORS, SHAPES, STUFF_IDS, THING_IDS
from san.data.shapescenes.layout import LAYOUTS, lay_out
from san.data.shapescenes.looks import LOOKS
from san.data.shapescenes.render import render
from san.data.shapescenes.scene import Scene, Thing, plan_scene
from san.data.shapescenes.shapes import draw_shape
from san.data.shapescenes.splits import ALL, SPLITS, VERSION, plan_item

CENTERED = np.array([[20.0, 0, 24], [0, 20, 24]])


def _scene(class_id, stuff=(), seed=(1,), angle=0.0, size=48, radius=20.0):
    thing = Thing(class_id, "plain", size / 2, size / 2, radius, angle, 1.0)
    return Scene(size, size, stuff, "bands", (thing,), "photo", seed)


def _iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("class_id", THING_IDS)
def test_a_thing_has_its_shape_and_color(class_id):
    shape, color = CLASSES[class_id].shape, CLASSES[class_id].color
    image, elements = render(_scene(class_id, stuff=(STUFF_IDS[1],)))
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    thing = elements == 1
    fits = {other: _iou(thing, draw_shape(other, (48, 48), CENTERED) >= 128) for other in SHAPES}
    assert max(fits, key=fits.get) == shape and fits[shape] > 0.95
    assert sorted(fits.values())[-2] < 0.85
    assert _color_name(np.median(image[thing], axis=0) / 255) == color


def _color_name(rgb):
    """The nearest of the eight color words for an RGB of 0 to 1."""
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    if value < 0.25:
        return "black"
    if saturation < 0.2:
        return "white"
    hues = {"red": 0, "orange": 27, "yellow": 54, "green": 130, "blue": 222, "purple": 281}
    return min(hues, key=lambda name: abs((hue * 360 - hues[name] + 180) % 360 - 180))


def test_colors_stay_apart_in_any_light():
    right = 0
    for index in range(160):
        class_id = THING_IDS[index % len(COLORS)]
        image, elements = render(_scene(class_id, seed=(2, index)))
        name = _color_name(np.median(image[elements == 1], axis=0) / 255)
        right += name == CLASSES[class_id].color
    assert right >= 152


def test_kinds_of_stuff_differ_more_than_their_samples_do():
    """Nearest class mean of a crude description tells most of them apart."""
    samples = np.array(
        [
            [_describe(render(_scene(0, (stuff,), (3, i), radius=2.0))[0]) for i in range(6)]
            for stuff in STUFF_IDS
        ]
    )  # (12, 6, 6)
    known, asked = samples[:, :3].mean(1), samples[:, 3:]  # (12, 6), (12, 3, 6)
    distance = np.linalg.norm(asked[:, :, None] - known, axis=-1)  # (12, 3, 12)
    assert (distance.argmin(-1) == np.arange(12)[:, None]).mean() > 0.85


def _describe(image):
    """(6,) mean and spread of the colors."""
    pixels = image.reshape(-1, 3).astype(float)
    return np.concatenate([pixels.mean(0), pixels.std(0)])


def test_what_pixels_show_follows_the_plan():
    for index in range(12):
        scene = plan_scene(np.random.default_rng((4, index)), ALL, (4, index), max_side=256)
        image, elements = render(scene)
        assert image.shape == (scene.height, scene.width, 3)
        assert elements.max() < len(scene.stuff) + len(scene.things)
        for number, thing in enumerate(scene.things, start=len(scene.stuff)):
            y, x = np.nonzero(elements == number)
            reach = 1.35 * thing.radius + 2
            assert len(y) > 20
            assert abs(y - thing.y).max() < reach and abs(x - thing.x).max() < reach


def test_later_things_lie_in_front():
    back = Thing(0, "plain", 24, 24, 14.0, 0, 1.0)
    front = replace(back, class_id=3, radius=7.0)
    _, elements = render(Scene(48, 48, (STUFF_IDS[0],), "bands", (back, front), "photo", (1,)))
    assert elements[24, 24] == 2 and elements[24, 13] == 1 and elements[2, 2] == 0


def test_same_seed_same_pixels():
    scene = _scene(9, (STUFF_IDS[2],))
    first, second = render(scene)[0], render(scene)[0]
    np.testing.assert_array_equal(first, second)
    assert (first != render(replace(scene, seed=(2,)))[0]).any()


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_changes_the_image_and_not_what_it_shows(look):
    scene = plan_scene(np.random.default_rng(5), ALL, (5,), max_side=160)
    photo, elements = render(scene)
    image, same = render(replace(scene, look=look))
    np.testing.assert_array_equal(same, elements)
    assert np.abs(image.astype(int) - photo).mean() > 10


@pytest.mark.parametrize("pattern", ["striped", "dotted"])
def test_a_pattern_shows(pattern):
    plain = _scene(THING_IDS[4])
    spread = {}
    for name in ("plain", pattern):
        scene = replace(plain, things=(replace(plain.things[0], pattern=name),))
        image, elements = render(scene)
        spread[name] = image[elements == 1].std(0).mean()
    assert spread[pattern] > 1.5 * spread["plain"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_share_the_image(layout):
    shares = np.zeros(4)
    for seed in range(5):
        regions = lay_out(np.random.default_rng(seed), layout, (96, 128), 4)
        assert regions.shape == (96, 128) and regions.max() < 4
        shares += np.bincount(regions.ravel(), minlength=4) / regions.size / 5
    assert shares.min() > 0.08
    assert not lay_out(np.random.default_rng(0), layout, (8, 8), 1).any()


@pytest.mark.parametrize(
    ("split", "index", "size", "mean"),
    [
        ("captions_train", 0, (74, 74), (88.6, 69.4, 30.4)),
        ("train", 1, (481, 361), (66.6, 92.2, 71.1)),
        ("shift_val", 0, (231, 318), (78.0, 82.7, 100.7)),
        ("crops_val", 1, (81, 81), (81.5, 101.4, 93.1)),
    ],
)
def test_a_change_of_the_painting_is_a_new_version(split, index, size, mean):
    """If this fails, the same seed gives other images than before: raise VERSION, and pin anew."""
    image, _ = render(plan_item(SPLITS[split], 0, index).scene)
    assert (VERSION, image.shape[:2]) == (5, size)
    assert np.abs(image.mean((0, 1)) - mean).max() < 0.5  # other libraries may round differently
