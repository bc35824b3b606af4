"""Official names <-> ours, on the key lists of the official models."""

import functools

import pytest
import torch
from detectron2.modeling import build_model

from san.config import find_config, load_config
from san.errors import UserError
from san.name_map import ATTN_MASK, is_official, to_official, to_san
from tests.official import official_shapes, official_state_dict

CONFIGS = {
    "tiny": "quick/san_tiny.yaml",
    "b16": "san_clip_vit_res4_coco.yaml",
    "l14": "san_clip_vit_large_res4_coco.yaml",
}


@pytest.fixture
def build(monkeypatch):
    """Build a model without memory for its weights."""
    # The depths of stochastic depth are read while building, so they need values
    monkeypatch.setattr(torch, "linspace", functools.partial(torch.linspace, device="cpu"))

    def build(name, *opts):
        opts = ["MODEL.SAN.CLIP_PRETRAINED_NAME", "", "MODEL.DEVICE", "meta", *opts]
        with torch.device("meta"):
            return build_model(load_config(find_config(CONFIGS[name]), opts))

    return build


def shapes_of(state_dict):
    return {key: tuple(value.shape) for key, value in state_dict.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_map_places_every_official_key_in_the_model_and_leaves_none_out(build, name):
    num_classes = official_shapes(name)["criterion.empty_weight"][0] - 1
    model = build(name, "MODEL.SAN.NUM_CLASSES", num_classes)
    ours = to_san(official_state_dict(name, device="meta"))
    assert shapes_of(ours) == shapes_of(model.state_dict())
    exported = to_official(model.state_dict())
    assert list(shapes_of(exported).items()) == list(official_shapes(name).items())


@pytest.mark.parametrize(
    "opts",
    [
        ("MODEL.SAN.SOS_TOKEN_FORMAT", "learnable_token"),
        ("MODEL.SAN.SOS_TOKEN_FORMAT", "pos_embedding"),
        ("MODEL.SIDE_ADAPTER.ATTN_BIAS.RESCALE_ATTN_BIAS", False),
        ("MODEL.SIDE_ADAPTER.ATTN_BIAS.MLP_NUM_LAYERS", 4),
        ("MODEL.SIDE_ADAPTER.FUSION_MAP", ["0->0", "3->4"]),
    ],
    ids=lambda opts: "-".join(map(str, opts)),
)
def test_models_of_other_options_survive_export_and_import(build, opts):
    own = build("tiny", *opts).state_dict()
    assert shapes_of(to_san(to_official(own))) == shapes_of(own)


def test_the_learned_sls_embedding_has_its_official_name(build):
    own = build("tiny", "MODEL.SAN.SOS_TOKEN_FORMAT", "learnable_token").state_dict()
    assert to_official(own)["clip_rec_head.sos_token"] is own["mask_recognition.sls_embed"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_official_to_ours_and_back_is_bit_for_bit(dtype):
    official = official_state_dict("tiny", dtype)
    back = to_official(to_san(official))
    assert list(back) == list(official)
    for key, value in official.items():
        assert back[key].dtype == value.dtype, key
        assert torch.equal(back[key], value), key


@pytest.mark.parametrize("name", ["b16", "l14"])
def test_released_names_survive_the_round_trip_in_their_order(name):
    official = official_state_dict(name, device="meta")
    shuffled = dict(sorted(to_san(official).items()))
    assert list(shapes_of(to_official(shuffled)).items()) == list(official_shapes(name).items())


def test_the_two_formats_are_told_apart():
    official = official_state_dict("tiny", device="meta")
    assert is_official(official)
    assert not is_official(to_san(official))
    assert not is_official({"visual.conv1.weight": torch.zeros(1)})


def test_unknown_official_keys_are_listed():
    official = official_state_dict("tiny", device="meta")
    official |= {f"clip_rec_head.resblocks.0.extra{i}": torch.zeros(1) for i in range(12)}
    with pytest.raises(UserError, match=r"12 keys .*blocks\.0\.extra0, .*extra9, and 2 more$"):
        to_san(official)


def test_unknown_keys_of_ours_are_listed():
    with pytest.raises(UserError, match="1 keys that SAN does not have: clip.blocks.0.ln_3.weight"):
        to_official({"clip.blocks.0.ln_3.weight": torch.zeros(1)})


@pytest.mark.parametrize("mask", [torch.zeros(77, 77), torch.zeros(77), torch.zeros(77, 76)])
def test_a_text_mask_that_is_not_causal_is_refused(mask):
    with pytest.raises(UserError, match="attn_mask is not the causal mask"):
        to_san({**official_state_dict("tiny"), ATTN_MASK: mask})
