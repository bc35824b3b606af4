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
    ("what", "content"),
    [
        ({}, "blue star + grass"),
        ({"stuff": ()}, "blue star"),
        ({"things": ()}, "grass"),
        ({"pattern": True}, "striped blue star + grass"),
        ({"color": False, "stuff": ()}, "star"),
        ({"shape": False, "stuff": ()}, "blue thing"),
    ],
)
def test_content_is_what_is_mentioned(what, content):
    everything = {"things": (_thing("blue star", "striped"),), "stuff": (IDS["grass"],)}
    assert content_of(Mention(**{**everything, **what})) == content


def test_content_has_one_order_and_names_things_once():
    red, blue = _thing("red ring"), _thing("blue star")
    wood, sky = IDS["wood"], IDS["sky"]
    content = content_of(Mention((red, blue), (wood, sky)))
    assert content == content_of(Mention((blue, red, red), (sky, wood)))
    assert content == "blue star + red ring + sky + wood"


def test_what_only_reaches_into_the_image_is_not_spoken_of():
    scene = _scene(_thing("red ring", x=-3), _thing("blue star"), _thing("red ring", x=48))
    mentions = [choose_mention(np.random.default_rng(i), scene) for i in range(40)]
    assert {m.things for m in mentions} == {scene.main_things}


def test_captions_speak_of_some_of_what_is_there():
    things, stuff = (_thing("red ring", x=10), _thing("blue star", x=40)), ("wood", "sky")
    scene = _scene(*things, stuff=(*stuff, "wood"))
    mentions = [choose_mention(np.random.default_rng(i), scene) for i in range(800)]
    shares = {thing: np.mean([thing in m.things for m in mentions]) for thing in things}
    shares |= {name: np.mean([IDS[name] in m.stuff for m in mentions]) for name in stuff}
    stuff_alone = [m for m in mentions if not m.things]
    assert 0.15 < len(stuff_alone) / len(mentions) < 0.25
    assert {m.stuff for m in stuff_alone} == {(IDS["wood"], IDS["sky"])}
    assert all(0.58 < shares[thing] < 0.7 for thing in things)  # 0.8 of 0.8
    assert all(0.34 < shares[name] < 0.46 for name in stuff)  # 0.2 and 0.8 of 0.25
    assert all(len(m.stuff) == len(set(m.stuff)) for m in mentions)


def test_captions_say_that_there_is_nothing_else_only_where_it_is_true():
    grass, both = Mention(stuff=(IDS["grass"],)), Mention(stuff=(IDS["grass"], IDS["sky"]))

    def is_exclusive(scene, mention):
        captions = _many_captions(scene, mention)
        return any("only" in c or "nothing but" in c for c in captions)

    assert is_exclusive(_scene(stuff=["grass"]), grass)
    assert is_exclusive(_scene(stuff=["grass", "sky"]), both)
    assert not is_exclusive(_scene(stuff=["grass", "sky"]), grass)
    assert not is_exclusive(_scene(_thing("blue star"), stuff=["grass"]), grass)


@pytest.mark.parametrize("names", [["blue star"], ["blue star", "red ring"]])
def test_things_lie_on_stuff_only_where_there_is_no_other(names):
    things = tuple(_thing(name) for name in names)

    def lies_on_it(stuff):
        captions = _many_captions(_scene(*things, stuff=stuff), Mention(things, (IDS["grass"],)))
        return any(word in c for c in captions for word in (" on ", " over ", "in front", "around"))

    assert lies_on_it(["grass"])
    assert not lies_on_it(["grass", "sky"])


def _many_captions(scene, mention):
    rng = np.random.default_rng(0)
    return [caption for _ in range(30) for caption in captions_of(rng, scene, mention)]


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
    large = Thing(0, "plain", 24, 24, 22.0, 0, 1.0)
    captions = _many_captions(_scene(large), Mention((large,)))
    assert any("large" in c for c in captions)
    assert not any("small" in c or "medium" in c for c in captions)


def test_most_captions_of_a_lone_thing_mention_the_shape_alone_and_few_the_color():
    scene = _scene(_thing("red ring"))
    mentions = [choose_mention(np.random.default_rng(i), scene) for i in range(400)]
    assert all(m.color or m.shape for m in mentions)
    assert 230 < sum(not m.color for m in mentions) < 290
    assert 5 < sum(not m.shape for m in mentions) < 40
