"""What every method takes from a vocabulary file: words, prompts, "none of these"."""

import pytest
import torch

from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor
from san.modeling.text.vocabulary import Vocabulary
from tests.parity import build_filled

WORDS = ["cat", "sofa|couch", "grass", "sky"]


@pytest.fixture(scope="module")
def model():
    return build_filled("tiny")[0].eval()


def make_input(vocabulary, **extra):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 64, 96), generator=generator, dtype=torch.uint8)
    return {"image": image, "vocabulary": vocabulary, "output": "label_map", **extra}


def assert_equal(result, expected):
    """Equal but for rounding, which may differ between batches of one and of two."""
    assert result.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(result[key], expected[key])


@torch.no_grad()
def test_a_vocabulary_stands_for_its_words(model):
    (expected,) = model([make_input(WORDS)])
    assert_equal(model([make_input(Vocabulary.from_words(WORDS))])[0], expected)


@torch.no_grad()
def test_prompts_of_the_vocabulary_go_before_those_of_the_model(model, monkeypatch):
    vocabularies = [Vocabulary.from_words(WORDS, templates=t) for t in ("photo", ["the {}"])]
    results = model([make_input(vocabulary) for vocabulary in vocabularies])
    for templates, result in zip((("a photo of a {}.",), ("the {}",)), results, strict=True):
        monkeypatch.setattr(model.text_classifier, "templates", templates)
        assert_equal(model([make_input(WORDS)])[0], result)


@torch.no_grad()
@pytest.mark.parametrize("resize_masks_first", [True, False])
def test_pixels_are_none_where_the_share_reaches_the_threshold(
    model, monkeypatch, resize_masks_first
):
    monkeypatch.setattr(model, "resize_masks_first", resize_masks_first)
    (plain,) = model([make_input(WORDS, none_share=True)])
    share = plain["none_share"]
    assert share.shape == (64, 96) and 0 <= share.min() < share.max() <= 1
    threshold = float(share.median())
    vocabulary = Vocabulary.from_words(WORDS, background_threshold=threshold)
    (result,) = model([make_input(vocabulary)])
    expected = torch.where(share >= threshold, -1, plain["label_map"])
    assert torch.equal(result["label_map"], expected) and len(expected.unique()) > 1
    (asked,) = model([make_input(vocabulary, background_threshold=1.1)])
    assert torch.equal(asked["label_map"], plain["label_map"])


def test_the_threshold_that_is_asked_for_goes_before_the_vocabularys():
    threshold_of = OpenVocabSegmentor.background_threshold_of
    vocabulary = Vocabulary.from_words(WORDS, background_threshold=0.25)
    assert threshold_of({"vocabulary": WORDS}) is None
    assert threshold_of({"vocabulary": vocabulary}) == 0.25
    assert threshold_of({"vocabulary": vocabulary, "background_threshold": 0.5}) == 0.5
    assert threshold_of({"vocabulary": vocabulary, "background_threshold": None}) is None
