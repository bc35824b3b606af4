import pytest
import torch
from torch.nn import functional as F

from san.modeling.text.lint import find_clashes, find_long, find_similar, list_words
from san.modeling.text.vocabulary import normalize_vocabulary


def clashes(*classes):
    words = list_words(normalize_vocabulary(classes, allow_duplicates=True))
    return [(finding.kind, finding.message) for finding in find_clashes(words)]


def test_nothing_is_found_in_a_good_vocabulary():
    assert clashes("cat", "sofa|couch", "dining table", "table", "glass", "gas", "bus") == []


@pytest.mark.parametrize(
    "classes, kind, message",
    [
        (["cat", "Cat"], "duplicate", "'Cat' (class 2) stands before: 'cat' (class 1)"),
        (["sofa|couch|sofa"], "duplicate", "'sofa' (class 1 'sofa') stands before: 'sofa' (class"),
        (["sofa|couch", "couch"], "hidden", "'couch' (class 2) and 'couch' (class 1 'sofa') are"),
        (["couch", "sofa|couch"], "hidden", "'couch' (class 2 'sofa') and 'couch' (class 1) are"),
        (["traffic light", "trafficlight"], "hidden", "'trafficlight' (class 2) and 'traffic li"),
        (["stair", "stairs"], "hidden", "'stairs' (class 2) and 'stair' (class 1) are one word"),
        (["T-shirt", "t shirt"], "hidden", "are one word"),
        (
            ["person|person in shirt", "Shirt"],
            "hidden",
            "'Shirt' (class 2) is a part of 'person in shirt' (class 1 'person')",
        ),
    ],
)
def test_clashes(classes, kind, message):
    ((found, text),) = clashes(*classes)
    assert found == kind and message in text


def test_a_class_may_say_its_name_in_two_spellings():
    assert clashes("airplane|air-plane", "cat") == []


def test_long_phrases():
    words = list_words([["road, route"], ["a b c d e f g h i"], ["four tokens"], ["ok"]])
    findings = find_long(words, room=3, count_tokens=lambda text: 4 if "tokens" in text else 1)
    assert [finding.kind for finding in findings] == ["long"] * 3
    assert "write its names as synonyms" in findings[0].message
    assert "'a b c d e f g h i' (class 2) has 9 words" in findings[1].message
    assert "(class 3) has 4 tokens; the text tower has room for 3" in findings[2].message
    assert len(find_long(words)) == 2


def test_similar_words_of_different_classes(monkeypatch):
    monkeypatch.setattr("san.modeling.text.lint._ROWS", 2)
    words = list_words([["a", "a2"], ["b"], ["c"], ["d"]])
    embeds = torch.tensor([[1.0, 0], [1, 0.01], [0.98, 0.2], [1, 0.1], [0, 1]])
    findings = find_similar(words, F.normalize(embeds, dim=-1), 0.99)
    assert [finding.message.split(" ", 1)[1] for finding in findings] == [
        "'a2' (class 1 'a') and 'c' (class 3)",
        "'a' (class 1) and 'c' (class 3)",
        "'b' (class 2) and 'c' (class 3)",
    ]
    assert findings[0].message.startswith("0.996 ")


def test_what_clashes_is_not_similar_too():
    words = list_words([["stair"], ["stairs"], ["steps"]])
    (first, second) = find_similar(words, torch.ones(3, 1), 0.99)
    assert "'stair'" in first.message and "'stairs'" in second.message
