import numpy as np
import pytest
from PIL import Image

from san.colors import palette
from san.visualize import class_shares, draw_overlay
from san.visualize.fonts import load_font, shorten
from san.visualize.label_map import find_borders, resize_labels
from san.visualize.legend import draw_legend
from san.visualize.names import find_place, ink_on, write_names
from san.visualize.overlay import MAX_SIDE, MIN_SIDE


def halves(height, width):
    """Class 0 on the left, 1 on the right."""
    label_map = np.zeros((height, width), np.int32)
    label_map[:, width // 2 :] = 1
    return label_map


def test_colors_are_blended_and_none_is_grey():
    image = np.full((640, 640, 3), (200, 100, 0), np.uint8)
    label_map = halves(640, 640)
    label_map[:320, 320:] = -1
    colors = np.array([[0, 0, 255], [0, 200, 0]], np.uint8)
    pixels = np.asarray(draw_overlay(image, label_map, ["a", "b"], colors, alpha=0.25))
    assert abs(pixels[10, 10].astype(int) - [150, 75, 64]).max() <= 1
    assert abs(pixels[600, 600].astype(int) - [150, 125, 0]).max() <= 1
    assert pixels[10, 600].std() == 0
    assert pixels[10, 600].max() < 80
    assert pixels[600, 319].min() > 200  # the border


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (1, 3000), (3000, 1), (480, 640), (2500, 3000)])
def test_the_view_has_a_legible_size(size):
    image = np.zeros((*size, 3), np.uint8)
    label_map = halves(*size)
    overlay = draw_overlay(image, label_map, ["left", "right"], palette(2))
    assert MIN_SIDE <= max(overlay.size) <= MAX_SIDE + 100
    assert overlay.mode == "RGB"
    assert overlay.width >= MIN_SIDE  # room for the legend


@pytest.mark.parametrize("background", [0, 255])
def test_names_are_legible_on_any_background(background):
    image = np.full((480, 640, 3), background, np.uint8)
    label_map = np.zeros((480, 640), np.int32)
    for color in palette(40):
        view = Image.fromarray(image)
        write_names(view, label_map, ["sky"], [color], {0: 1.0}, 14)
        changed = np.asarray(view)[(np.asarray(view) != background).any(axis=2)].astype(int)
        weights = [0.299, 0.587, 0.114]
        brightness = changed @ weights
        assert np.ptp(brightness) > 90  # ink against its plate
        assert np.abs(changed - color.astype(int)).max(axis=1).min() == 0  # the plate itself


def test_a_name_lies_inside_its_largest_region():
    mask = np.zeros((100, 200), bool)
    mask[10:90, 120:190] = True
    mask[0:5, 0:5] = True
    y, x = find_place(mask, np.zeros(mask.shape, np.uint8), (10, 40))
    assert mask[y : y + 10, x : x + 40].all()
    assert abs(y + 5 - 50) <= 3
    assert abs(x + 20 - 155) <= 3


def test_names_do_not_cover_each_other():
    mask = np.ones((60, 60), bool)
    occupied = np.zeros(mask.shape, np.uint8)
    occupied[:35] = 1
    y, _ = find_place(mask, occupied, (20, 50))
    assert y >= 35
    occupied[y : y + 20] = 1
    assert find_place(mask, occupied, (20, 50)) is None  # no room left
    assert find_place(mask, 0 * occupied, (61, 10)) is None  # larger than the picture


def test_small_classes_are_named_in_the_legend_alone():
    label_map = np.zeros((100, 100), np.int32)
    label_map[0, 0] = 1
    view = Image.new("RGB", (100, 100))
    write_names(view, label_map, ["a", "b"], palette(2), {1: 0.0001}, 12)
    assert np.asarray(view).max() == 0


def test_legend_shows_swatches_in_order_and_counts_the_rest():
    colors = palette(100)
    shares = {i: 1 / 100 for i in range(100)}
    few = draw_legend(640, ["a", "b"], colors, {1: 0.9, 0: 0.06, -1: 0.04}, 14)
    first = np.asarray(few)[few.height // 2]  # one row: swatches from left to right
    positions = [np.flatnonzero((first == color).all(axis=1)) for color in (colors[1], colors[0])]
    assert positions[0].max() < positions[1].min()
    many = draw_legend(640, [f"class {i}" for i in range(100)], colors, shares, 14)
    present = {tuple(pixel) for pixel in np.asarray(many).reshape(-1, 3)}
    assert tuple(colors[46]) in present
    assert tuple(colors[47]) not in present  # 47 lines and "and 53 more"


def test_long_and_foreign_names_fit():
    font = load_font(14)
    assert shorten("cat", font, 100) == "cat"
    short = shorten("a very long name of a class" * 5, font, 100)
    assert short.endswith("…")
    assert font.getlength(short) <= 100
    names = ["Straße " * 30, "кошка", "猫", "🐈", "x" * 400]
    label_map = np.repeat(np.arange(5), 20)[None].repeat(80, axis=0)
    overlay = draw_overlay(np.zeros((80, 100, 3), np.uint8), label_map, names, palette(5))
    assert overlay.width == MIN_SIDE


def test_fonts_have_the_characters_that_are_drawn():
    for text in ("naïve", "кошка", "Ελλάς"):
        glyphs = {bytes(load_font(20, text).getmask(character)) for character in text}
        missing = bytes(load_font(20, text).getmask("\uffff"))
        assert missing not in glyphs


def test_shares_are_sorted():
    label_map = np.array([[2, 2, -1, 2], [0, 0, -1, 2]])
    assert class_shares(label_map) == {2: 0.5, -1: 0.25, 0: 0.25}
    assert next(iter(class_shares(label_map))) == 2


def test_labels_are_resized_to_the_nearest():
    label_map = np.array([[0, 1], [2, 70000]])
    larger = resize_labels(label_map, 4, 6)
    np.testing.assert_array_equal(larger, np.kron(label_map, np.ones((2, 3), int)))
    np.testing.assert_array_equal(resize_labels(larger, 2, 2), label_map)


def test_borders():
    borders = find_borders(np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]]))
    assert borders.tolist() == [[0, 1, 0], [1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(("color", "dark"), [((255, 255, 0), True), ((40, 40, 160), False)])
def test_ink_contrasts_with_the_color(color, dark):
    assert (sum(ink_on(color)) < 300) is dark
