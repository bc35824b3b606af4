"""Losses and matching against the formulas written out; parity is in test_san_parity.py."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from san.modeling.criterion import SetCriterion
from san.modeling.matcher import assign, matching_costs

WEIGHTS = {"loss_ce": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}


def make_criterion(importance_sample_ratio=0.0, **kwargs):
    """With uniform points by default: uncertain ones lie on borders, where no mask is perfect."""
    return SetCriterion(
        num_classes=3,
        weights=WEIGHTS,
        num_points=400,
        importance_sample_ratio=importance_sample_ratio,
        **kwargs,
    )


def half_masks(size=32):
    """Two classes: left and right half."""
    left = torch.zeros(size, size, dtype=torch.bool)
    left[:, : size // 2] = True
    return torch.stack([left, ~left])


def logits_of(masks, scale=20.0):
    """(1, 1, Q, h, w) mask logits that agree with the masks, at stride 4."""
    small = F.avg_pool2d(masks.float(), 4)
    return (small[None, None] - 0.5) * scale


def class_logits_of(classes, num_classes=4):
    return 20.0 * F.one_hot(torch.tensor(classes), num_classes)[None, None].float()


def test_costs_are_the_formula():
    class_logits, points = torch.randn(5, 4), torch.randn(5, 50)
    targets, classes = torch.rand(3, 50), torch.tensor([0, 2, 1])
    costs = matching_costs(class_logits, points, classes, targets, WEIGHTS)
    for q, n in itertools.product(range(5), range(3)):
        prob, t = points[q].sigmoid(), targets[n]
        expected = -2 * class_logits[q].softmax(0)[classes[n]]
        expected += 5 * F.binary_cross_entropy_with_logits(points[q], t)
        expected += 5 * (1 - (2 * (prob * t).sum() + 1) / (prob.sum() + t.sum() + 1))
        torch.testing.assert_close(costs[q, n], expected)


def test_assignment_is_the_cheapest_and_survives_broken_numbers():
    costs = torch.rand(4, 3)
    levels, images, queries, targets = assign(costs[None, None], [3])
    assert not levels.any() and not images.any()
    total = costs[queries, targets].sum()
    best = min(
        sum(costs[q, n] for n, q in enumerate(p)) for p in itertools.permutations(range(4), 3)
    )
    torch.testing.assert_close(total, best)
    assert assign(torch.full((1, 1, 4, 3), float("nan")), [3]).shape == (4, 3)


def test_more_targets_than_queries():
    _, _, queries, targets = assign(torch.rand(1, 1, 2, 5), [5])
    assert queries.tolist() == [0, 1] and len(set(targets.tolist())) == 2


def test_a_perfect_prediction_has_hardly_any_loss():
    masks = half_masks()
    target = {"classes": torch.tensor([0, 2]), "masks": masks}
    queries = torch.cat([masks.flip(0), torch.zeros(1, 32, 32, dtype=torch.bool)])
    losses = make_criterion()(class_logits_of([2, 0, 3]), logits_of(queries, 200.0), [target])
    assert losses["loss_ce"] < 1e-3
    assert losses["loss_dice"] < 0.5
    empty = logits_of(torch.zeros_like(queries), 200.0)
    wrong = make_criterion()(class_logits_of([2, 0, 3]), empty, [target])
    assert wrong["loss_dice"] > 4


def test_no_object_weight_divides_by_the_sum_of_weights():
    class_logits = torch.randn(1, 1, 3, 4)
    target = {"classes": torch.tensor([1]), "masks": half_masks()[:1]}
    criterion = make_criterion()
    losses = criterion(class_logits, logits_of(half_masks()[[0, 1, 1]], 200.0), [target])
    nll = -class_logits[0, 0].log_softmax(-1)
    expected = nll[0, 1] + 0.1 * (nll[1, 3] + nll[2, 3])
    torch.testing.assert_close(losses["loss_ce"], 2 * expected / 1.2)


def test_levels_are_named_and_the_last_is_the_main_one():
    masks = half_masks()
    target = {"classes": torch.tensor([0, 2]), "masks": masks, "seed": 0}
    good, bad = logits_of(masks, 200.0), logits_of(~masks, 200.0)
    classes = class_logits_of([0, 2])
    losses = make_criterion()(torch.cat([classes] * 3), torch.cat([bad, bad, good]), [target])
    assert {k.removeprefix("loss_") for k in losses} == {
        *("ce", "mask", "dice"),
        *("ce_0", "mask_0", "dice_0"),
        *("ce_1", "mask_1", "dice_1"),
    }
    assert losses["loss_mask"] < losses["loss_mask_0"]


def test_points_follow_the_seed():
    masks = half_masks()
    args = class_logits_of([0, 2]), torch.randn(1, 1, 2, 8, 8)

    def loss(seed):
        target = {"classes": torch.tensor([0, 2]), "masks": masks, "seed": seed}
        return make_criterion()(*args, [target])["loss_mask"]

    torch.manual_seed(1)
    first = loss(5)
    torch.manual_seed(2)
    assert torch.equal(first, loss(5))
    assert not torch.equal(first, loss(6))
    assert not torch.equal(loss(None), loss(None))


@pytest.mark.parametrize("exclude", [False, True])
def test_ignored_pixels_are_negatives_unless_excluded(exclude):
    """A mask that spills over ignored pixels alone."""
    masks = torch.zeros(1, 32, 32, dtype=torch.bool)
    masks[:, :, :16] = True
    spilled = torch.ones(1, 32, 32, dtype=torch.bool)
    target = {"classes": torch.tensor([0]), "masks": masks}
    criterion = make_criterion(exclude_ignored=exclude)
    losses = criterion(class_logits_of([0]), logits_of(spilled, 40.0), [target])
    assert (losses["loss_mask"] < 1e-3) == exclude
    assert (losses["loss_dice"] < 0.05) == exclude


@pytest.mark.parametrize("exclude", [False, True])
def test_proposals_on_ignored_pixels_are_no_objects_unless_excluded(exclude):
    """The right half has no label; a proposal besides the one that fits the left half."""
    left, right = half_masks()
    target = {"classes": torch.tensor([0]), "masks": left[None]}
    criterion = make_criterion(exclude_ignored=exclude)

    def loss_ce(classes, *masks):
        masks = logits_of(torch.stack(masks))
        return criterion(class_logits_of(classes), masks, [target])["loss_ce"]

    assert loss_ce([0, 3], left, right) < 1e-3  # no object
    assert (loss_ce([0, 2], left, right) < 1e-3) == exclude
    assert loss_ce([0, 2], left, left) > 0.1  # what it lies on is known
    assert loss_ce([2], right) > 1  # matched: a target has no other proposal


def test_all_unknown_costs_nothing():
    masks = torch.zeros(0, 32, 32, dtype=torch.bool)
    target = {"classes": torch.zeros(0, dtype=torch.int64), "masks": masks}
    criterion = make_criterion(exclude_ignored=True)
    losses = criterion(class_logits_of([0]), logits_of(half_masks()[:1]), [target])
    assert {float(loss) for loss in losses.values()} == {0.0}


def test_uncertain_points_are_preferred():
    criterion = make_criterion(importance_sample_ratio=0.75)
    logits = torch.linspace(-20, 20, 32).expand(1, 32, 32)  # uncertain in the middle columns
    points = criterion._choose_points(logits[None], 1, [1], [None])
    assert points.shape == (1, 400, 2)
    # Beyond the outermost pixel centers samples fade to 0, so a few points of the border count too
    assert ((points[0, :300, 0] - 0.5).abs() < 0.2).float().mean() > 0.98
    assert points[0, 300:, 0].std() > 0.2
