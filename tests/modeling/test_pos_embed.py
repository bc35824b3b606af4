import torch

from san.modeling.pos_embed import resize_pos_embed


def test_native_grid_is_untouched():
    pos_embed = torch.randn(1, 1 + 14 * 14, 8)
    assert resize_pos_embed(pos_embed, (14, 14), (14, 14), num_prefix_tokens=1) is pos_embed


def test_the_prefix_is_kept_and_the_grid_keeps_its_orientation():
    rows = torch.arange(4.0).view(4, 1, 1).expand(4, 6, 1).reshape(1, 24, 1)  # value = row
    pos_embed = torch.cat([torch.full((1, 1, 1), 9.0), rows], dim=1)
    resized = resize_pos_embed(pos_embed, (4, 6), (8, 3), num_prefix_tokens=1, mode="bilinear")
    assert resized.shape == (1, 1 + 24, 1)
    assert resized[0, 0, 0] == 9
    grid = resized[0, 1:, 0].view(8, 3)
    assert (grid.diff(dim=0) >= 0).all()
    torch.testing.assert_close(grid[:, 0], grid[:, 2])


def test_another_grid_of_as_many_patches_is_resized():
    """The published code leaves 4 x 16 as it is where 8 x 8 is native, rows wrapped."""
    pos_embed = torch.randn(1, 64, 2)
    assert not torch.equal(resize_pos_embed(pos_embed, (8, 8), (4, 16)), pos_embed)
