"""Both parts of CLIP together are open_clip's own tower."""

import copy

import pytest
import torch
from torch.nn import functional as F

from san.errors import UserError
from san.modeling.backbone.clip import build_clip
from san.modeling.backbone.clip_attention import (
    attend,
    identity_attention,
    plain_attention,
    project,
    run_block,
)
from san.modeling.backbone.clip_vit import ClipViT, DenseClipViT, ImageEncoder, deep_part, freeze
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
    torch.testing.assert_close(features.maps[3].flatten(1, 2), features.tokens[:, 1:])


def test_image_encoder_is_encode_image(clip):
    model, _ = clip
    image, weights = torch.randn(2, 3, 64, 64), list(model.visual.parameters())
    results = []
    for encode in (model.encode_image, ImageEncoder(model.visual)):
        embeds = encode(image)
        results.append((embeds, *torch.autograd.grad(embeds.square().sum(), weights)))
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_any_image_size(clip):
    vit = ClipViT(clip[0].visual, 2)
    features = vit(torch.randn(1, 3, 70, 33), layers=(2,))  # left-over pixels fill no patch
    assert features.grid_size == (4, 2)
    assert features.maps[2].shape == (1, 4, 2, vit.width)


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


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (96, 80)])
def test_plain_last_attention_is_encode_image(clip, size):
    """At another size than its own, open_clip is asked with a resized position embedding."""
    model, image = clip[0], torch.randn(2, 3, *size)
    features = DenseClipViT(model.visual)(image)
    expected = model.encode_image(image) if size == (64, 64) else resized_encode(model, image)
    torch.testing.assert_close(features.cls_embed, expected, atol=1e-5, rtol=1e-4)
    assert features.grid_size == (size[0] // 16, size[1] // 16)
    assert features.patch_embeds.shape == (2, features.grid_size[0] * features.grid_size[1], 64)


def resized_encode(model, image):
    visual = copy.deepcopy(model.visual)
    grid = visual.positional_embedding[1:].T.view(1, 64, 4, 4)
    grid = F.interpolate(grid, (image.shape[2] // 16, image.shape[3] // 16), mode="bicubic")
    parts = [visual.positional_embedding[:1], grid[0].flatten(1).T]
    visual.positional_embedding = torch.nn.Parameter(torch.cat(parts))
    return visual(image)


@torch.no_grad()
def test_identity_in_the_last_block_is_open_clip_under_a_mask(clip):
    """Residual and MLP stay: open_clip's own last block, in which no token sees another."""
    visual, image = clip[0].visual, torch.randn(2, 3, 64, 64)
    dense = DenseClipViT(visual, identity_attention)
    x, _ = dense.embed(image)
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    mask = torch.full((17, 17), float("-inf")).fill_diagonal_(0)
    x = visual.transformer.resblocks[-1](x, attn_mask=mask)
    expected = visual.ln_post(x[:, 1:]) @ visual.proj
    torch.testing.assert_close(dense(image).patch_embeds, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_queries_and_keys_of_an_early_block(clip):
    """They meet the values, and the output projection, of the last one."""
    visual, image = clip[0].visual, torch.randn(1, 3, 64, 64)
    seen = {}

    def attention(inputs):
        seen["inputs"] = inputs
        return plain_attention(inputs)

    features = DenseClipViT(visual, attention, qk_block=2)(image)
    x, _ = DenseClipViT(visual).embed(image)
    for i, block in enumerate(visual.transformer.resblocks, start=1):
        if i == 2:
            q, k = project(block.attn, block.ln_1(x), "qk")
        if i == 4:
            v = project(block.attn, block.ln_1(x), "v")[0]
            keys = project(block.attn, block.ln_1(x), "k")[0]
        x = block(x)
    for name, expected in (("q", q), ("k", k), ("v", v)):
        torch.testing.assert_close(
            getattr(seen["inputs"], name), expected, atol=1e-5, rtol=1e-4, msg=name
        )
    expected = keys[:, :, 1:].transpose(1, 2).flatten(2)  # the keys that are handed on
    torch.testing.assert_close(features.keys, expected, atol=1e-5, rtol=1e-4)
    last = DenseClipViT(visual, plain_attention, qk_block=4)(image)
    torch.testing.assert_close(last.patch_embeds, DenseClipViT(visual)(image).patch_embeds)
    assert not torch.allclose(features.patch_embeds, last.patch_embeds)
