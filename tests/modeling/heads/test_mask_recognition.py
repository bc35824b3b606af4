"""[SLS] tokens against the paper's picture: one sequence under one big mask."""

import pytest
import torch
from torch.nn import functional as F

from san.modeling.backbone.clip import build_clip
from san.modeling.backbone.clip_vit import deep_part
from san.modeling.heads.mask_recognition import POOLS, MaskRecognition

Q, GRID, HEADS, WIDTH = 3, (2, 4), 4, 64
L = GRID[0] * GRID[1]


def make(num_shallow=2, **kwargs):
    blocks, ln_post, proj = deep_part(build_clip("clip_tiny").model.visual, num_shallow)
    parts = {"blocks": blocks, "ln_post": ln_post, "proj": proj}
    return MaskRecognition(**parts, num_queries=Q, **kwargs).eval()


def draw(levels=1, batch=2, layers=1, heads=HEADS):
    tokens = torch.randn(batch, 1 + L, WIDTH)
    return tokens, torch.randn(levels, batch, layers, heads, Q, *GRID) * 3


def recognize(recognition, tokens, bias):
    """bias (T, B, l, n, Q, h, w)."""
    return recognition(tokens, GRID, bias.permute(0, 1, 5, 6, 2, 3, 4))


def joint(recognition, tokens, bias):
    """Sequence [SLS x Q, CLS, patches] through open_clip's own blocks with an additive mask.

    bias (B, n, Q, h, w), at CLIP's grid already.
    """
    x = torch.cat([tokens[:, :1].expand(-1, Q, -1), tokens], dim=1)
    mask = torch.zeros(len(x), HEADS, Q + 1 + L, Q + 1 + L)
    mask[:, :, :, :Q] = -100
    mask[:, :, :Q, Q] = -100
    mask[:, :, range(Q), range(Q)] = 0
    mask[:, :, :Q, Q + 1 :] = bias.flatten(3)
    for block in recognition.blocks:
        x = block(x, attn_mask=mask.flatten(0, 1))
    return F.normalize(recognition.ln_post(x[:, :Q]) @ recognition.proj, dim=-1)


@torch.no_grad()
def test_it_is_the_joint_sequence_under_one_mask():
    recognition, (tokens, bias) = make(), draw()
    embeds = recognize(recognition, tokens, bias)
    assert embeds.shape == (1, 2, Q, 64)
    torch.testing.assert_close(embeds[0], joint(recognition, tokens, bias[0, :, 0]))
    torch.testing.assert_close(embeds.norm(dim=-1), torch.ones(1, 2, Q))


@torch.no_grad()
def test_levels_are_independent():
    recognition, (tokens, bias) = make(), draw(levels=3)
    together = recognize(recognition, tokens, bias)
    for i in range(3):
        torch.testing.assert_close(together[i], recognize(recognition, tokens, bias[i : i + 1])[0])


@torch.no_grad()
def test_one_bias_for_all_heads_and_one_for_each_block():
    recognition = make()
    tokens, bias = draw(heads=1)
    repeated = recognize(recognition, tokens, bias.expand(-1, -1, -1, HEADS, -1, -1, -1))
    torch.testing.assert_close(recognize(recognition, tokens, bias), repeated)
    tokens, bias = draw(layers=2)
    same = bias[:, :, :1].expand(-1, -1, 2, -1, -1, -1, -1)
    torch.testing.assert_close(
        recognize(recognition, tokens, same), recognize(recognition, tokens, bias[:, :, :1])
    )
    assert not torch.allclose(
        recognize(recognition, tokens, bias), recognize(recognition, tokens, same)
    )


@torch.no_grad()
def test_a_strong_bias_shows_a_token_its_mask_alone():
    """What lies outside of the mask does not matter then."""
    recognition, (tokens, bias) = make(num_shallow=3), draw(batch=1)
    bias[:] = -1000
    bias[..., :2] = 0  # left half of the grid
    changed = tokens.clone()
    outside = (torch.arange(L) % GRID[1] >= 2).nonzero()[:, 0] + 1
    changed[:, outside] = torch.randn(1, len(outside), WIDTH)
    torch.testing.assert_close(
        recognize(recognition, tokens, bias), recognize(recognition, changed, bias)
    )


@torch.no_grad()
@pytest.mark.parametrize("pool", POOLS)
def test_biases_come_to_the_grid_of_clip(pool):
    recognition = make(pool=pool)
    tokens, bias = draw()
    large = bias.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    pooled = recognize(recognition, tokens, large)
    if pool in ("max", "avg", "nearest"):
        torch.testing.assert_close(pooled, recognize(recognition, tokens, bias))
    assert pooled.isfinite().all()


@pytest.mark.parametrize("sls_format", ["learnable_token", "pos_embedding"])
def test_learned_tokens_start_apart_and_are_trained(sls_format):
    recognition = make(sls_format=sls_format)
    tokens, bias = draw()
    same = bias[:, :, :, :, :1].expand(-1, -1, -1, -1, Q, -1, -1)
    embeds = recognize(recognition, tokens, same)
    assert not torch.allclose(embeds[:, :, 0], embeds[:, :, 1])
    embeds.sum().backward()
    assert recognition.sls_embed.grad is not None
