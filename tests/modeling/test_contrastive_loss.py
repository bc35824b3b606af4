"""The contrastive loss against its formula, written out pair by pair."""

import math

import pytest
import torch
from open_clip.loss import ClipLoss
from torch.nn import functional as F

from san.modeling.contrastive_loss import ContrastiveLoss, content_id


def embeds(count, dim=8):
    return F.normalize(torch.randn(count, dim), dim=-1)


def one_way(queries, items, scale, contents):
    """UniCL, Eq. 2: per query the mean over its positives of -log softmax, then over queries."""
    total = 0.0
    for i, query in enumerate(queries):
        logits = [scale * float(query @ item) for item in items]
        normalizer = math.log(sum(math.exp(logit) for logit in logits))
        positives = [k for k, content in enumerate(contents) if content == contents[i]]
        total += sum(normalizer - logits[k] for k in positives) / len(positives)
    return total / len(queries)


@pytest.mark.parametrize("contents", ["abcdef", "abcabc", "aaaaaa", "abbbca"])
def test_formula(contents):
    images, texts = embeds(6), embeds(6)
    loss = ContrastiveLoss()(images, texts, torch.tensor(5.0), list(contents))
    expected = one_way(images, texts, 5.0, contents) + one_way(texts, images, 5.0, contents)
    assert loss.item() == pytest.approx(expected / 2, rel=1e-5)


def test_without_duplicates_it_is_the_loss_of_clip():
    images, texts, scale = embeds(5), embeds(5), torch.tensor(14.3)
    expected = ClipLoss()(images, texts, scale)
    torch.testing.assert_close(ContrastiveLoss()(images, texts, scale, range(5)), expected)


def test_by_hand():
    """Two pairs that match perfectly: each row is log(1 + e^-s)."""
    eye = torch.eye(2)
    loss = ContrastiveLoss()(eye, eye, torch.tensor(3.0), ["a", "b"])
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-3)))
    targets = ContrastiveLoss().targets(["a", "b", "a"], "cpu")
    assert targets.tolist() == [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]


def test_content_id_is_the_same_in_every_run():
    """Python's own hash() of a text is not."""
    assert content_id("red circle") == 1446033684584063784
    assert content_id(7) == content_id("7") != content_id("8")
