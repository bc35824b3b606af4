"""The block against timm's, whose names of weights it has."""

import functools

import timm.layers
import torch
from timm.models import vision_transformer

from san.modeling.backbone.vit_block import Block, Mlp
from tests.saved_tensors import saved_bytes


def gradients(module, x):
    return torch.autograd.grad(module(x).sin().sum(), [x, *module.parameters()])


def test_a_block_is_timms():
    ours = Block(24, 3)
    norm = functools.partial(torch.nn.LayerNorm, eps=1e-6)
    theirs = vision_transformer.Block(24, 3, qkv_bias=True, norm_layer=norm)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.normal_(std=0.3)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 7, 24, requires_grad=True)
    torch.testing.assert_close(ours(x), theirs(x))
    assert [name for name, _ in ours.named_parameters()] == [
        name for name, _ in theirs.named_parameters()
    ]
    torch.testing.assert_close(gradients(ours, x), gradients(theirs, x))


def test_stochastic_depth_drops_a_branch_of_whole_images():
    block, x = Block(24, 3, drop_path_rate=0.5), torch.randn(200, 4, 24)
    block.mlp = torch.nn.Sequential(block.mlp, torch.nn.Threshold(1e9, 0.0))  # gives nothing
    moved = block.train()(x) - x
    dropped = (moved == 0).flatten(1).all(dim=1)
    assert 60 < dropped.sum() < 140
    expected = 2 * (block.eval()(x) - x)
    torch.testing.assert_close(moved[~dropped], expected[~dropped], atol=1e-5, rtol=1e-4)


def test_the_mlp_is_timms_without_keeping_the_output_of_the_gelu():
    lean, plain = Mlp(6, 24), timm.layers.Mlp(6, 24)
    plain.load_state_dict(lean.state_dict())
    x = torch.randn(2, 5, 6, requires_grad=True)
    assert torch.equal(lean(x), plain(x))
    with torch.no_grad():
        assert torch.equal(lean(x), plain(x))
    for ours, theirs in zip(gradients(lean, x), gradients(plain, x), strict=True):
        assert torch.equal(ours, theirs)
    weights = 4 * plain.fc2.weight.numel()  # the plain one keeps a view of them
    kept = 4 * x.numel() // 6 * 24  # the output of the GELU
    assert saved_bytes(lean, x) == saved_bytes(plain, x) - weights - kept
