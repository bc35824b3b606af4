"""Classes and vocabularies: what is seen, what the words are."""

from collections import Counter

import pytest

from san.data.shapescenes.absent_names import ABSENT_COLORS, ABSENT_SHAPES, ABSENT_THINGS
from san.data.shapescenes.classes import (
    CLASSES,
    COLORS,
    PATTERNS,
    SHAPES,
    STUFF,
    STUFF_IDS,
    THING_IDS,
)
from san.data.shapescenes.label_sets import IGNORE_LABEL, LABEL_SETS, classes_json
from san.data.shapescenes.textures import TEXTURES

WORDS = [
    word
    for group in (SHAPES, COLORS, STUFF, PATTERNS)
    for name, synonyms in group.items()
    for word in (name, *synonyms)
]


def test_every_shape_and_color_is_seen_but_not_in_every_combination():
    unseen = [c for c in CLASSES if c.is_thing and not c.seen]
    assert (len(THING_IDS), len(STUFF_IDS), len(unseen)) == (64, 12, 16)
    assert Counter(c.shape for c in unseen) == dict.fromkeys(SHAPES, 2)
    assert Counter(c.color for c in unseen) == dict.fromkeys(COLORS, 2)
    assert sum(not CLASSES[i].seen for i in STUFF_IDS) == 3
    assert TEXTURES.keys() == STUFF.keys()


def test_no_word_has_two_meanings():
    assert len(set(WORDS)) == len(WORDS)
    assert not {*ABSENT_COLORS, *ABSENT_SHAPES, *ABSENT_THINGS} & set(WORDS)


@pytest.mark.parametrize(
    ("split", "num_names", "num_unseen"),
    [
        ("train", 57, 0),
        ("val", 76, 19),
        ("synonyms_val", 76, 19),
        ("fine_val", 204, 51),
        ("coarse_val", 20, None),
        ("colors_val", 20, None),
        ("shift_val", 76, 19),
        ("many_val", 563, 506),
    ],
)
def test_vocabulary(split, num_names, num_unseen):
    label_set = LABEL_SETS[split]
    assert len(label_set.names) == len(set(label_set.names)) == num_names
    labels = set(label_set.labels.values())
    assert labels == set(range(len(labels))) and max(labels) < IGNORE_LABEL
    if num_unseen is None:
        assert label_set.seen is None
    else:
        assert len(label_set.seen) == num_names
        assert label_set.seen.count(False) == num_unseen


def test_names_of_one_thing_and_one_stuff():
    thing = next(i for i, c in enumerate(CLASSES) if c.name == "blue star")
    stuff = next(i for i, c in enumerate(CLASSES) if c.name == "grass")
    expected = {
        "train": ("blue star", "grass"),
        "val": ("blue star", "grass"),
        "synonyms_val": ("azure pentagram", "lawn"),
        "fine_val": ("striped blue star", "grass"),
        "coarse_val": ("star", "grass"),
        "colors_val": ("blue thing", "grass"),
        "shift_val": ("blue star", "grass"),
        "many_val": ("blue star", "grass"),
    }
    assert expected.keys() == LABEL_SETS.keys()
    for split, names in expected.items():
        label_set = LABEL_SETS[split]
        keys = (thing, "striped"), (stuff, "plain")
        assert tuple(label_set.names[label_set.labels[key]] for key in keys) == names


def test_seen_marks_the_names_of_seen_classes():
    for split in ("val", "synonyms_val", "fine_val", "shift_val", "many_val"):
        label_set = LABEL_SETS[split]
        for (class_id, _), label in label_set.labels.items():
            assert label_set.seen[label] == CLASSES[class_id].seen


def test_training_vocabulary_has_no_unseen_class_under_any_name():
    train = LABEL_SETS["train"]
    assert {class_id for class_id, _ in train.labels} == {
        i for i, c in enumerate(CLASSES) if c.seen
    }
    unseen = {d["name"] for d in classes_json()["classes"] if not d["seen"]}
    assert len(unseen) == 19 and not unseen & set(train.names)


def test_classes_json_gives_the_label_in_training():
    content = classes_json()
    for c in content["classes"]:
        if c["seen"]:
            assert content["splits"]["train"]["names"][c["train_label"]] == c["name"]
        else:
            assert c["train_label"] is None
