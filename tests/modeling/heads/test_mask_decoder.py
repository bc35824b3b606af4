import pytest
import torch

from san.modeling.heads.mask_decoder import MaskDecoder


@torch.no_grad()
@pytest.mark.parametrize("rescale", [True, False])
def test_masks_and_biases_are_inner_products(rescale):
    """Against the last layer of the bias branch run in full, as the paper draws it."""
    decoder = MaskDecoder(
        in_channels=6,
        embed_channels=5,
        mlp_channels=7,
        num_heads=3,
        num_layers=2,
        rescale_bias=rescale,
    )
    queries, pixels = torch.randn(2, 4, 6), torch.randn(2, 3, 5, 6)
    mask_logits, attn_bias = decoder(queries, pixels)
    q = decoder.query_mlp(queries)
    masks = torch.einsum("bqc,bhwc->bqhw", q, decoder.pixel_mlp(pixels))
    embeds = decoder.attn_mlp(pixels).unflatten(-1, (2, 3, 5))  # (B, h, w, l, n, C)
    bias = torch.einsum("bqc,bhwlnc->bhwlnq", q, embeds)
    if rescale:
        bias = decoder.bias_scale(bias[..., None])[..., 0]
    torch.testing.assert_close(mask_logits, masks)
    torch.testing.assert_close(attn_bias, bias)
