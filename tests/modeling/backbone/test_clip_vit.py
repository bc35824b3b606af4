"""Both parts of CLIP together are open_clip's own tower."""

import pytest
import torch
from torch.nn import functional as F

from san.errors import UserError
from san.modeling.backbone.clip import build_clip
from san.modeling.backbone.clip_attention import attend, project, run_block
from san.modeling.backbone.clip_vit import ClipViT, deep_part, freeze
from san.modeling.text.text_encoder import TextEncoder


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    built = build_clip("clip_tiny")
    return built.model.eval(), built.tokenizer


@torch.no_grad()
def test_cls_token_is_encode_image(clip):
    model, _ = clip
    image = torch.randn(2, 3, 64, 64)
    features = ClipViT(model.visual, 3)(image, layers=(0, 3))
    blocks, ln_post, proj = deep_part(model.visual, 3)
    x = features.tokens
    for block in blocks:
        x = run_block(block, x)
    torch.testing.assert_close(ln_post(x[:, 0]) @ proj, model.encode_image(image))
    assert features.grid_size == (4, 4)
    assert set(features.maps) == {0, 3}
    torch.testing.assert_close(features.maps[3].flatten(2).transpose(1, 2), features.tokens[:, 1:])


@torch.no_grad()
def test_any_image_size(clip):
    vit = ClipViT(clip[0].visual, 2)
    features = vit(torch.randn(1, 3, 70, 33), layers=(2,))  # left-over pixels fill no patch
    assert features.grid_size == (4, 2)
    assert features.maps[2].shape == (1, vit.width, 4, 2)


@torch.no_grad()
def test_block_is_the_block_of_open_clip(clip):
    block, x = clip[0].visual.transformer.resblocks[0], torch.randn(2, 5, 64)
    torch.testing.assert_close(run_block(block, x), block(x))


@torch.no_grad()
def test_biased_attention_is_the_formula(clip):
    attn = clip[0].visual.transformer.resblocks[0].attn
    x, bias = torch.randn(2, 5, 64), torch.randn(2, 4, 5, 5)
    q, k, v = project(attn, x)
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias).softmax(dim=-1)
    expected = attn.out_proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attend(attn, q, k, v, bias), expected)
    only_kv = project(attn, x, "kv")
    assert torch.equal(only_kv[0], k) and torch.equal(only_kv[1], v)


@torch.no_grad()
def test_text_encoder_is_encode_text(clip):
    model, tokenizer = clip
    tokens = tokenizer(["a cat", "a photo of a very long dining table.", "", "word " * 100])
    torch.testing.assert_close(TextEncoder(model)(tokens), model.encode_text(tokens))


@torch.no_grad()
def test_text_is_cut_behind_the_longest_prompt(clip):
    model, tokenizer = clip
    lengths = []
    encoder = TextEncoder(model)
    encoder.ln_final.register_forward_hook(lambda _, inputs, __: lengths.append(inputs[0].shape[1]))
    encoder(tokenizer(["cat", "dining table"]))
    assert lengths == [4]  # start, two words, end; of 77


def test_freeze_by_parts_of_names(clip):
    vit = ClipViT(clip[0].visual, 2)
    freeze(vit, ["positional_embedding", "resblocks.1.ln_2"])
    trained = {name for name, p in vit.named_parameters() if p.requires_grad}
    assert trained == {"positional_embedding", "blocks.1.ln_2.weight", "blocks.1.ln_2.bias"}
    freeze(vit, ["all"])
    assert all(p.requires_grad for p in vit.parameters())
    freeze(vit, [])
    assert not any(p.requires_grad for p in vit.parameters())


def test_other_towers_are_refused():
    import open_clip

    config = open_clip.get_model_config("ViT-B-32")
    config["vision_cfg"].update(layers=1, attentional_pool=True)
    config["text_cfg"].update(layers=1)
    with pytest.raises(UserError, match=r"not a plain ViT with a \[CLS\] token"):
        ClipViT(open_clip.CLIP(**config).visual)


def test_open_clip_keeps_what_is_used_of_it(clip):
    """The attributes that clip_attention.py and text_encoder.py read."""
    model, _ = clip
    for block in [*model.visual.transformer.resblocks, *model.transformer.resblocks]:
        attn = block.attn
        assert attn.in_proj_weight.shape == (3 * 64, 64) and attn.in_proj_bias.shape == (3 * 64,)
        assert F.linear(torch.zeros(1, 64), attn.out_proj.weight).shape == (1, 64)
        assert attn.num_heads == 4
        assert all(hasattr(block, name) for name in ("ln_1", "ln_2", "ls_1", "ls_2", "mlp"))
