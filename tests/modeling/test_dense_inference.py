"""Label maps and scores of dense methods, whole or in tiles, are the same numbers."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from san.modeling import dense_inference
from san.modeling.background import Background
from san.modeling.dense_inference import DenseInference, label_map, semantic_scores, tile_side
from san.modeling.text.classifier import TextEmbeddings
from san.modeling.tiles import cut, interpolation_weights, tiles
from san.protocol import Protocol

SIZE = (50, 70)
OWNERS = {"words": None, "synonyms": torch.tensor([0, 0, 1, 2, 2, 2, 3])}
RULES = [
    Background(),
    Background(score_threshold=0.35),
    Background(area_threshold=0.14),
    Background(score_threshold=0.3, area_threshold=0.14),
]


def draw(owner, side=16):
    """Words, and tiles of their cosines on a grid of 5 x 6."""
    words = 7
    text = TextEmbeddings(F.normalize(torch.randn(words, 8), dim=-1), words, None)
    if owner is not None:
        text = text._replace(num_classes=4, class_of_word=owner)
    maps = torch.randn(words, 5, 6) * 0.05
    weights = interpolation_weights(5, SIZE[0]), interpolation_weights(6, SIZE[1])
    bands = (cut(axis, side, maps.device) for axis in weights)
    return text, maps, partial(tiles, maps, *bands)


@pytest.mark.parametrize("background", RULES)
@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_scores_are_those_of_the_plain_formula(owner, background):
    text, maps, make_tiles = draw(owner)
    cosines = F.interpolate(maps[None], SIZE, mode="bilinear", align_corners=False)[0]
    shares = (30 * cosines).softmax(dim=0)
    classes = range(7) if owner is None else range(4)
    own = torch.arange(7) if owner is None else owner
    expected = torch.stack([shares[own == c].amax(dim=0) for c in classes])
    expected = background.fold(expected)
    scores = semantic_scores(make_tiles, SIZE, text, 30.0, background)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("background", RULES)
@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("side", [7, 16, 200])
def test_label_map_is_the_best_of_the_scores(owner, background, side):
    text, _, make_tiles = draw(owner, side)
    scores = semantic_scores(make_tiles, SIZE, text, 30.0, background)
    labels, best = label_map(make_tiles, SIZE, text, 30.0, background)
    assert labels.dtype == torch.int32 and best.dtype == torch.float32
    torch.testing.assert_close(best, scores.amax(dim=0), atol=1e-6, rtol=1e-5)
    assert torch.equal(labels.long(), scores.argmax(dim=0))
    assert len(labels.unique()) > 2


def test_rules_do_something():
    """Else the tests above would compare nothing with nothing."""
    text, _, make_tiles = draw(OWNERS["synonyms"])
    maps = [label_map(make_tiles, SIZE, text, 30.0, rule)[0] for rule in RULES]
    for i in range(4):
        for j in range(i):
            assert not torch.equal(maps[i], maps[j]), (i, j)


def test_none_by_threshold():
    text, _, make_tiles = draw(None)
    plain, scores = label_map(make_tiles, SIZE, text, 30.0, Background())
    threshold = 1 - float(scores.median())
    labels, same = label_map(make_tiles, SIZE, text, 30.0, Background(), threshold)
    assert torch.equal(same, scores)
    none = labels == -1
    assert torch.equal(none, 1 - scores >= threshold) and 0.4 < none.float().mean() < 0.6
    assert torch.equal(labels[~none], plain[~none])
    for threshold, share in ((0.0, 1.0), (1.01, 0.0)):
        labels, _ = label_map(make_tiles, SIZE, text, 30.0, Background(), threshold)
        assert (labels == -1).float().mean() == share


@pytest.mark.parametrize("words", [1, 21, 150, 847, 100_000])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_tiles_hold_a_bounded_number_of_cosines(words, device):
    side = tile_side(words, torch.device(device))
    assert side >= 15
    limit = dense_inference._TILE_VALUES[device]
    assert words * side**2 <= max(limit, words * 16**2)


def test_a_protocol_goes_before_the_config():
    config = DenseInference(224, 112, 40.0, Background(0.5, 0.5))
    assert config.under(None) is config
    fields = {"name": "p", "dataset": "d", "min_size": 1, "max_size": 1}
    assert config.under(Protocol(**fields)) == (None, None, 40.0, (0.0, 0.0))
    protocol = Protocol(**fields, window=448, stride=224, logit_scale=65.0, score_threshold=0.1)
    assert config.under(protocol) == (448, 224, 65.0, (0.1, 0.0))
