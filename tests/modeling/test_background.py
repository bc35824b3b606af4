"""Background rules on scores whose answer is known."""

import torch

from san.modeling.background import Background


def one_hot(labels, confidence=0.7):
    """Scores (4, 1, pixels) whose best class is the label; the others share the rest equally."""
    labels = torch.tensor(labels)
    scores = torch.full((4, len(labels)), (1 - confidence) / 3)
    scores[labels, torch.arange(len(labels))] = confidence
    return scores[:, None]


def labels_of(scores):
    return scores.argmax(dim=0).flatten().tolist()


def test_no_rule_changes_nothing():
    scores = torch.rand(4, 3, 5)
    assert torch.equal(Background().fold(scores.clone()), scores)


def test_unsure_pixels_are_background_and_keep_their_score():
    scores = torch.cat([one_hot([1, 2, 3, 0]), one_hot([1, 2, 3, 0], 0.4)], dim=-1)
    folded = Background(score_threshold=0.5).fold(scores.clone())
    assert labels_of(folded) == [1, 2, 3, 0, 0, 0, 0, 0]
    assert torch.equal(folded[0], scores[0])
    assert torch.equal(folded[:, :, :4], scores[:, :, :4])


def test_threshold_itself_is_sure():
    scores = one_hot([2], 0.5)
    assert labels_of(Background(score_threshold=0.5).fold(scores)) == [2]


def test_small_classes_lose_their_pixels():
    """A share of exactly the threshold is too small; the background counts for nothing."""
    scores = one_hot([0] * 50 + [1] * 8 + [2] * 1 + [3] * 1)
    scores[1, 0, 58] = 0.2  # the second best of the only pixel of class 2
    folded = Background(area_threshold=0.1).fold(scores)
    assert labels_of(folded) == [0] * 50 + [1] * 8 + [1, 0]
    assert not folded[2].any() and not folded[3].any()


def test_area_counts_before_the_score():
    """Class 2 is large by its unsure pixels, which go to the background all the same."""
    scores = torch.cat([one_hot([1] * 5 + [2]), one_hot([2] * 5, 0.4)], dim=-1)
    both = Background(score_threshold=0.5, area_threshold=0.3).fold(scores.clone())
    assert labels_of(both) == [1] * 5 + [2] + [0] * 5


def test_nothing_but_background():
    scores = one_hot([0, 0, 0])
    assert labels_of(Background(0.1, 0.1).fold(scores)) == [0, 0, 0]
