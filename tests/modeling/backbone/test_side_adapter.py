import pytest
import torch

from san.modeling.backbone.side_adapter import FeatureFusion, SideAdapterNetwork


def make(**kwargs):
    defaults = {
        "image_size": 64,
        "patch_size": 16,
        "width": 24,
        "depth": 3,
        "num_heads": 3,
        "num_queries": 5,
        "clip_width": 8,
        "fusion_map": {0: 0, 2: 6},
        "supervised": [3, 2],
    }
    return SideAdapterNetwork(**{**defaults, **kwargs})


def clip_maps(batch=2):
    return {0: torch.randn(batch, 2, 3, 8), 6: torch.randn(batch, 2, 3, 8)}


def test_levels_in_training_and_the_last_alone_in_evaluation():
    side_adapter, maps = make(), clip_maps()
    image = torch.randn(2, 3, 48, 96)
    queries, pixels = side_adapter.train()(image, maps)
    assert queries.shape == (2, 2, 5, 24)
    assert pixels.shape == (2, 2, 3, 6, 24)
    last_queries, last_pixels = side_adapter.eval()(image, maps)
    assert last_queries.shape == (1, 2, 5, 24)
    torch.testing.assert_close(last_queries[0], queries[-1])
    torch.testing.assert_close(last_pixels[0], pixels[-1])


@torch.no_grad()
def test_every_fused_map_matters_and_others_are_not_asked_for():
    side_adapter, maps = make().eval(), clip_maps(1)
    image = torch.randn(1, 3, 64, 64)
    _, pixels = side_adapter(image, maps)
    for i in maps:
        _, changed = side_adapter(image, {**maps, i: maps[i] + torch.randn(8)})
        assert not torch.allclose(pixels, changed)
    side_adapter(image, {**maps, 3: None})


@torch.no_grad()
def test_position_embedding_follows_the_grid_and_not_the_token_count():
    """4 x 4 patches are native; 2 x 8 are as many, where the published code would not resize.

    With positions that change from left to right alone, top and bottom of a grey image are alike.
    """
    side_adapter = make(fusion_map={}).eval()
    columns = torch.randn(1, 4, 24).expand(4, 4, 24)
    side_adapter.pos_embed.data = columns.reshape(1, 16, 24)
    _, pixels = side_adapter(torch.zeros(1, 3, 32, 128), {})
    assert pixels.shape == (1, 1, 2, 8, 24)
    torch.testing.assert_close(pixels[:, :, 0], pixels[:, :, 1])


def test_blocks_behind_the_last_supervised_one_are_not_trained():
    side_adapter = make(supervised=[2])
    assert not any(p.requires_grad for p in side_adapter.blocks[2].parameters())
    assert all(p.requires_grad for p in side_adapter.blocks[:2].parameters())


def test_fusion_is_norm_projection_and_bilinear_resize():
    fusion = FeatureFusion(8, 4)
    patches, clip_map = torch.zeros(1, 6, 4), torch.randn(1, 1, 1, 8)
    fused = fusion(patches, clip_map, (2, 3))
    assert fused.shape == (1, 6, 4)
    torch.testing.assert_close(fused, fused[:, :1].expand(-1, 6, -1))  # one pixel fills the grid


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_stochastic_depth_acts_in_training_alone(rate):
    torch.manual_seed(0)
    side_adapter, maps = make(drop_path_rate=rate), clip_maps(2)
    image = torch.randn(2, 3, 64, 64)
    runs = [side_adapter.train()(image, maps)[0] for _ in range(8)]
    assert all(torch.equal(runs[0], x) for x in runs) == (rate == 0)
    side_adapter.eval()
    assert torch.equal(side_adapter(image, maps)[0], side_adapter(image, maps)[0])
