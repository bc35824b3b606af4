"""Captions name what is there, and nothing else."""

import numpy as np
import pytest

from san.data.shapescenes.captions import (
    NUM_CAPTIONS,
    Mention,
    captions_of,
    choose_mention,
    content_of,
)
from san.data.shapescenes.classes import CLASSES, COLORS, PATTERNS, SHAPES, STUFF
from san.data.shapescenes.scene import Scene, Thing
from san.data.shapescenes.splits import SPLITS, plan_item

IDS = {c.name: i for i, c in enumerate(CLASSES)}
NUM_ITEMS = 600


@pytest.fixture(scope="module")
def items():
    return [plan_item(SPLITS["captions_train"], 0, i) for i in range(NUM_ITEMS)]


def _thing(name, pattern="plain", x=24):
    return Thing(IDS[name], pattern, x, 24, 12.0, 0, 1.0)


def _scene(*things, stuff=()):
    return Scene(48, 48, tuple(IDS[s] for s in stuff), "bands", things, "photo", (0,))


@pytest.mark.parametrize(
    ("mention", "content"),
    [
        (Mention(), "blue star + grass"),
        (Mention(stuff=False), "blue star"),
        (Mention(pattern=True), "striped blue star + grass"),
        (Mention(color=False, stuff=False), "star"),
        (Mention(shape=False, stuff=False), "blue thing"),
    ],
)
def test_content_is_what_is_mentioned(mention, content):
    assert content_of(_scene(_thing("blue star", "striped"), stuff=["grass"]), mention) == content


def test_content_has_one_order_and_names_things_once():
    red, blue = _thing("red ring"), _thing("blue star")
    mention = Mention()
    content = content_of(_scene(red, blue, stuff=["wood", "sky"]), mention)
    assert content == content_of(_scene(blue, red, red, stuff=["sky", "wood"]), mention)
    assert content == "blue star + red ring + sky + wood"


def test_what_only_reaches_into_the_image_is_not_spoken_of():
    scene = _scene(_thing("red ring", x=-3), _thing("blue star"), _thing("red ring", x=48))
    assert content_of(scene, Mention()) == "blue star"
    captions = captions_of(np.random.default_rng(0), scene, Mention())
    assert not any(word in " ".join(captions) for word in SHAPES["ring"])


def test_captions_name_every_thing_in_some_word(items):
    for item in items:
        mentioned = item.content.split(" + ")
        for caption in item.captions:
            for element in mentioned:
                for word in [element] if element in STUFF else element.split():
                    synonyms = _synonyms(word)
                    assert any(s in caption for s in synonyms), (caption, element)


def _synonyms(word):
    for group in (SHAPES, COLORS, STUFF, PATTERNS):
        if word in group:
            return (word, *group[word])
    return ("thing", "object") if word == "thing" else (word,)


def test_wording_varies_and_uses_synonyms(items):
    assert {len(item.captions) for item in items} == {NUM_CAPTIONS}
    assert all(len(set(item.captions)) == NUM_CAPTIONS for item in items)
    text = " ".join(caption for item in items for caption in item.captions)
    for group in (SHAPES, COLORS, STUFF):
        for word, synonyms in group.items():
            assert all(s in text for s in (word, *synonyms)), word
    assert " a orange" not in text and " an red" not in text


def test_most_images_are_about_one_thing(items):
    counts = np.bincount([min(2, len(item.scene.main_things)) for item in items])
    assert counts[1] > 0.55 * NUM_ITEMS and counts.min() > 0.05 * NUM_ITEMS


def test_size_words_are_true():
    rng = np.random.default_rng(0)
    mention = Mention(stuff=False)
    large = Scene(48, 48, (), "bands", (Thing(0, "plain", 24, 24, 22.0, 0, 1.0),), "photo", (0,))
    captions = [c for _ in range(30) for c in captions_of(rng, large, mention)]
    assert any("large" in c for c in captions)
    assert not any("small" in c or "medium" in c for c in captions)


def test_half_the_captions_of_a_lone_thing_mention_the_shape_alone_and_few_the_color():
    scene = _scene(_thing("red ring"))
    mentions = [choose_mention(np.random.default_rng(i), scene) for i in range(400)]
    assert all(m.color or m.shape for m in mentions)
    assert 190 < sum(not m.color for m in mentions) < 250
    assert 5 < sum(not m.shape for m in mentions) < 40
