"""Mosaics: where the images lie, and that each is read from its own tile alone."""

import pytest
import torch
from torch.nn import functional as F

from san.modeling.backbone.clip import build_clip
from san.modeling.mosaic import NUM_TILES, TileEncoder, tile, untile


def test_images_lie_in_rows():
    """Images i, i + M, i + 2 M and i + 3 M make mosaic i: two above, two below."""
    images = torch.arange(8.0)[:, None, None, None].expand(-1, 3, 2, 5)  # M = 2, each of one value
    mosaics = tile(images)
    assert mosaics.shape == (2, 3, 4, 10)
    first = torch.tensor([[0.0, 2.0], [4.0, 6.0]]).repeat_interleave(2, 0).repeat_interleave(5, 1)
    assert torch.equal(mosaics[0], first.expand(3, -1, -1))
    assert torch.equal(mosaics[1], mosaics[0] + 1)


def test_an_image_keeps_its_pixels():
    images = torch.rand(4, 3, 2, 5)
    (mosaic,) = tile(images)
    assert torch.equal(mosaic[:, :2, :5], images[0]) and torch.equal(mosaic[:, :2, 5:], images[1])
    assert torch.equal(mosaic[:, 2:, :5], images[2]) and torch.equal(mosaic[:, 2:, 5:], images[3])


def test_tiles_come_back_in_the_order_of_images():
    images = torch.arange(8.0)[:, None, None, None].expand(-1, 1, 1, 1)
    tiles = tile(images).flatten(2).transpose(1, 2)  # (M, T, 1)
    assert torch.equal(untile(tiles), images.flatten(1))


@pytest.fixture(scope="module")
def visual():
    torch.manual_seed(0)
    return build_clip("clip_shapescenes").model.visual.eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_a_tile_is_read_from_its_own_patches(visual, size):
    """Through one deep block and no shallow one: no patch has seen other tiles before it."""
    encoder = TileEncoder(visual, 1)
    encoder.shallow.blocks = encoder.shallow.blocks[:0]
    encoder.recognition.blocks = encoder.recognition.blocks[:1]
    images = torch.randn(NUM_TILES, 3, *size)
    before = encoder(tile(images))[0]  # (T, D)
    assert before.shape == (NUM_TILES, 128)
    for k in range(NUM_TILES):
        changed = images.clone()
        changed[k] += 1
        same = (encoder(tile(changed))[0] - before).abs().amax(1) < 1e-6
        assert same.tolist() == [i != k for i in range(NUM_TILES)]


@torch.no_grad()
def test_patches_see_the_whole_mosaic(visual):
    """So a tile among others is not read as it is alone, nor as among others of them."""
    images = torch.randn(NUM_TILES, 3, 64, 64)
    encoder = TileEncoder(visual, 1)
    before = encoder(tile(images))[0]
    images[1:] += 1
    after = encoder(tile(images))[0]
    assert (after[0] - before[0]).abs().max() > 1e-5
    torch.testing.assert_close(after.norm(dim=1), torch.ones(NUM_TILES))


@torch.no_grad()
def test_it_is_open_clip_under_a_mask(visual):
    """The sequence [SLS x T, CLS, patches] through open_clip's own deep blocks, as in SAN."""
    mosaic = tile(torch.randn(NUM_TILES, 3, 16, 32))  # 4 x 8 patches, 2 x 4 in a tile
    encoder = TileEncoder(visual, 2)
    tokens = encoder.shallow(mosaic).tokens  # (1, 1 + 32, E)
    owner = torch.tensor([[0, 1], [2, 3]]).repeat_interleave(2, 0).repeat_interleave(4, 1).flatten()
    mask = torch.zeros(NUM_TILES + 33, NUM_TILES + 33)
    mask[:, :NUM_TILES] = float("-inf")
    mask.fill_diagonal_(0)
    mask[:NUM_TILES, NUM_TILES] = float("-inf")
    mask[:NUM_TILES, NUM_TILES + 1 :].masked_fill_(owner != torch.arange(4)[:, None], float("-inf"))
    x = torch.cat([tokens[:, :1].expand(-1, NUM_TILES, -1), tokens], dim=1)
    for block in visual.transformer.resblocks[2:]:
        x = block(x, attn_mask=mask)
    expected = F.normalize(visual.ln_post(x[:, :NUM_TILES]) @ visual.proj, dim=-1)
    torch.testing.assert_close(encoder(mosaic), expected, atol=1e-6, rtol=1e-4)
