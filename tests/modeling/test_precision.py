from pathlib import Path

import pytest
import torch
from torch import nn

from san import Segmenter
from san.errors import UserError
from san.modeling.precision import compute_in
from tests.tiny import build_segmenter

DEMO = Path(__file__).parents[2] / "demo"
INPUTS = {"image": torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8), "vocabulary": ["a", "b"]}


@torch.no_grad()
def test_scores_are_those_under_autocast():
    scores = []
    for store in (False, True):
        model = build_segmenter().model
        if store:
            compute_in(model, "bfloat16")
        with torch.autocast("cpu", torch.bfloat16, enabled=not store):
            scores.append(model([INPUTS])[0]["sem_seg"])
    assert scores[0].dtype == torch.float32
    assert torch.equal(*scores)


def test_what_multiplies_is_stored_in_it_and_the_text_tower_stays():
    model = build_segmenter().model
    compute_in(model, "bfloat16")
    for module in model.clip.modules():
        expected = torch.bfloat16 if isinstance(module, (nn.Linear, nn.Conv2d)) else torch.float32
        if not isinstance(module, nn.MultiheadAttention):
            assert {p.dtype for p in module.parameters(recurse=False)} <= {expected}
    assert model.clip.blocks[0].attn.in_proj_weight.dtype == torch.bfloat16
    assert {p.dtype for p in model.text_classifier.parameters()} == {torch.float32}


def test_float32_changes_nothing():
    model = build_segmenter().model
    compute_in(model, "float32")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert "forward" not in vars(model)


def test_label_maps_of_the_shipped_model_agree():
    plain, low = (
        Segmenter.from_pretrained("san_tiny", "cpu", opts=["TEST.DTYPE", dtype])
        for dtype in ("float32", "bfloat16")
    )
    equal = []
    for words in ("seen", "unseen"):
        for image in sorted((DEMO / "images" / words).iterdir()):
            maps = [s(image, DEMO / f"{words}.yaml").label_map for s in (plain, low)]
            equal.append((maps[0] == maps[1]).mean())
    assert len(equal) == 6
    assert min(equal) > 0.99, equal


def test_a_name_that_is_no_precision():
    with pytest.raises(UserError, match=r"TEST\.DTYPE is 'half'; it can be 'float32', 'bfloat16'"):
        compute_in(build_segmenter().model, "half")
