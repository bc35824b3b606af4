import torch
from torch import nn

from san.modeling.layers import MLP, LayerNorm2d


def test_dense_mlp_is_the_mlp_at_every_pixel():
    linear, dense = MLP(3, 5, 2, 3), MLP(3, 5, 2, 3, dense=True)
    for a, b in zip(linear.layers, dense.layers, strict=True):
        b.weight.data.copy_(a.weight[:, :, None, None])
        b.bias.data.copy_(a.bias)
    x = torch.randn(2, 3, 4, 6)
    expected = linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(dense(x), expected)


def test_layer_norm_is_over_channels():
    norm = LayerNorm2d(16)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 16, 3, 5) * 4 + 1
    mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    expected = (x - mean) / (var + 1e-6).sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)
    assert not isinstance(norm, nn.LayerNorm)  # the published training decays its weights
