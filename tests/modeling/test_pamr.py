"""PAMR against the formula, pixel by pixel."""

import itertools

import pytest
import torch

from san.modeling.pamr import Pamr, affinity


def neighbours_of(y, x, size, dilations):
    """Places of the 8 neighbours at each distance; beyond the border those on it."""
    for dilation in dilations:
        for dy, dx in itertools.product((-1, 0, 1), repeat=2):
            if (dy, dx) != (0, 0):
                row = min(max(y + dy * dilation, 0), size[0] - 1)
                yield row, min(max(x + dx * dilation, 0), size[1] - 1)


def plain_pamr(image, maps, steps, dilations):
    size = image.shape[1:]
    weights = {}
    for y, x in itertools.product(*map(range, size)):
        places = list(neighbours_of(y, x, size, dilations))
        own = [image[:, y, x]] * len(dilations)
        near = torch.stack([image[:, r, c] for r, c in places])  # (K, 3)
        deviation = torch.cat([near, torch.stack(own)]).std(dim=0)
        likeness = -(near - image[:, y, x]).abs() / (1e-8 + 0.1 * deviation)
        weights[y, x] = places, likeness.mean(dim=1).softmax(dim=0)
    for _ in range(steps):
        new = torch.empty_like(maps)
        for (y, x), (places, shares) in weights.items():
            new[:, y, x] = sum(s * maps[:, r, c] for s, (r, c) in zip(shares, places, strict=True))
        maps = new
    return maps


@pytest.mark.parametrize(("steps", "dilations"), [(1, (1,)), (3, (1, 2)), (2, (8,))])
def test_is_the_formula(steps, dilations):
    image, maps = torch.rand(3, 6, 7) * 255, torch.randn(4, 6, 7)
    expected = plain_pamr(image, maps, steps, dilations)
    actual = Pamr(steps, dilations)(image, maps)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_weights_add_up_and_the_scale_of_the_image_does_not_matter():
    image = torch.rand(3, 8, 9) * 255
    weights = affinity(image, (1, 2))
    assert weights.shape == (16, 8, 9)
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(8, 9))
    torch.testing.assert_close(affinity(image / 60 - 1.9, (1, 2)), weights, atol=1e-4, rtol=1e-3)


def test_scores_stop_at_edges():
    """Noise inside a region goes, the border between two colors stays where it is."""
    image = torch.zeros(3, 10, 10)
    image[:, :, 5:] = 200
    truth = (torch.arange(10) >= 5).expand(10, 10).long()
    maps = torch.stack([1.0 - truth, 1.0 * truth])
    maps[:, 3, 2] = maps[:, 3, 2].flip(0)
    maps[:, 6, 8] = maps[:, 6, 8].flip(0)
    assert (maps.argmax(dim=0) != truth).sum() == 2
    assert torch.equal(Pamr(4, (1, 2))(image, maps).argmax(dim=0), truth)


def test_no_steps_change_nothing():
    maps = torch.randn(2, 5, 5)
    assert Pamr()(torch.rand(3, 5, 5), maps) is maps
