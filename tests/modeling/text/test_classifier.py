import pytest
import torch
from torch.nn import functional as F

from san.errors import UserError
from san.modeling.backbone.clip import build_clip
from san.modeling.text.classifier import TextClassifier
from san.modeling.text.templates import TEMPLATES, get_templates

TWO = ("a photo of a {}.", "There is a {} in the scene")


def make(templates=TWO, **kwargs):
    built = build_clip("clip_tiny")
    return TextClassifier(built.model, built.tokenizer, templates, **kwargs), built


@torch.no_grad()
def test_embeddings_are_the_normalized_mean_of_normalized_prompts():
    classifier, built = make()
    words = ["cat", "dining table"]
    expected = 0
    for template in TWO:
        tokens = built.tokenizer([template.format(word) for word in words])
        expected = expected + F.normalize(built.model.encode_text(tokens), dim=-1)
    expected = F.normalize(expected, dim=-1)
    torch.testing.assert_close(classifier([["cat"], ["dining table"]]).embeds, expected)


def count_prompts(classifier, monkeypatch):
    prompts, embed = [], classifier._embed_prompts
    monkeypatch.setattr(classifier, "_embed_prompts", lambda x: (prompts.extend(x), embed(x))[1])
    return prompts


def test_a_word_is_embedded_once(monkeypatch):
    classifier, _ = make()
    prompts = count_prompts(classifier, monkeypatch)
    first = classifier([["cat"], ["dog"]]).embeds
    second = classifier([["dog"], ["bird"], ["cat"]]).embeds
    assert len(prompts) == 3 * len(TWO)
    assert torch.equal(first[0], second[2])


@torch.no_grad()
def test_new_weights_make_new_embeddings(monkeypatch):
    """The published code keeps stale ones after load_state_dict."""
    classifier, _ = make()
    stale = classifier([["cat"]]).embeds
    other, _ = make()
    classifier.load_state_dict(other.state_dict())
    fresh = classifier([["cat"]]).embeds
    assert not torch.allclose(stale, fresh)
    torch.testing.assert_close(fresh, other([["cat"]]).embeds)
    classifier.templates = ("{}",)
    assert not torch.allclose(fresh, classifier([["cat"]]).embeds)


def test_embeddings_are_float32_under_autocast():
    classifier, _ = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = classifier([["cat"]]).embeds
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, make_again(classifier)([["cat"]]).embeds)


def make_again(classifier):
    classifier._cache_key = None
    return classifier


def test_words_embedded_in_inference_mode_serve_in_training():
    classifier, _ = make(with_no_object=True)
    with torch.inference_mode():
        classifier([["cat"]])
    classifier([["cat"]]).embeds.sum().backward()
    assert classifier.no_object_embed.grad is not None


def test_none_of_these_is_the_last_row_and_learned():
    classifier, _ = make(with_no_object=True)
    embeds = classifier([["cat"], ["dog"]]).embeds
    assert embeds.shape == (3, 64)
    torch.testing.assert_close(embeds.norm(dim=-1), torch.ones(3))
    embeds.sum().backward()
    trained = [name for name, p in classifier.named_parameters() if p.grad is not None]
    assert trained == ["no_object_embed"]
    assert [n for n, p in classifier.named_parameters() if p.requires_grad] == trained


def test_the_best_synonym_counts():
    classifier, _ = make(with_no_object=True)
    text = classifier([["sofa", "couch"], ["cat"]])
    assert text.num_classes == 2 and text.embeds.shape == (4, 64)
    word_logits = torch.tensor([[1.0, 3.0, 2.0, 0.5], [5.0, 4.0, -1.0, 9.0]])
    expected = torch.tensor([[3.0, 2.0, 0.5], [5.0, -1.0, 9.0]])
    assert torch.equal(text.classes(word_logits), expected)


def test_a_word_too_long_for_the_context_is_named():
    classifier, _ = make()
    with pytest.raises(
        UserError, match=r"the word 'long long .*\.\.\.' has 80 tokens.*has room for"
    ):
        classifier([["cat"], ["long " * 79 + "long"]])


def test_template_sets():
    assert {name: len(get_templates(name)) for name in TEMPLATES} == {
        "vild": 14,
        "imagenet": 80,
        "maskclip": 85,
        "photo": 1,
        "identity": 1,
    }
    for templates in TEMPLATES.values():
        assert len(set(templates)) == len(templates)
        assert all(template.count("{}") == 1 for template in templates)
    with pytest.raises(UserError, match="no templates 'other'"):
        get_templates("other")
