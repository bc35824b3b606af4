import torch
from torch import nn

from san.modeling.layers import MLP, DecayedLayerNorm


def test_dense_mlp_is_the_mlp_at_every_pixel():
    linear, dense = MLP(3, 5, 2, 3), MLP(3, 5, 2, 3, dense=True)
    for a, b in zip(linear.layers, dense.layers, strict=True):
        b.weight.data.copy_(a.weight[:, :, None, None])
        b.bias.data.copy_(a.bias)
    x = torch.randn(2, 3, 4, 6)
    convolved = dense.layers[2](dense.layers[1](dense.layers[0](x).relu()).relu())
    x = x.permute(0, 2, 3, 1)
    torch.testing.assert_close(dense(x), linear(x))
    torch.testing.assert_close(dense(x), convolved.permute(0, 2, 3, 1))


def test_layer_norm_is_over_channels():
    norm = DecayedLayerNorm(16)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 3, 5, 16) * 4 + 1
    mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    expected = (x - mean) / (var + 1e-6).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(norm(x), expected)
    assert not isinstance(norm, nn.LayerNorm)  # the published training decays its weights
