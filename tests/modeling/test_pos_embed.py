import torch

from san.modeling.pos_embed import resize_pos_embed, window_pos_embed


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


def test_the_whole_grid_as_a_window_is_the_resized_grid():
    pos_embed = torch.randn(1, 1 + 4 * 6, 5)
    windows = torch.tensor([[0.0, 0.0, 1.0]]).expand(2, -1)
    windowed = window_pos_embed(pos_embed, (4, 6), (7, 5), windows, num_prefix_tokens=1)
    expected = resize_pos_embed(pos_embed, (4, 6), (7, 5), num_prefix_tokens=1)
    torch.testing.assert_close(windowed, expected.expand(2, -1, -1))


def test_a_window_is_a_part_of_the_grid():
    """Of a grid whose values are where they lie, each image gets those of its own window.

    Half a cell apart, bicubic values of a line are off by 0.003.
    """
    centers = (torch.arange(16) + 0.5) / 16
    y, x = torch.meshgrid(centers, centers, indexing="ij")
    pos_embed = torch.stack([y, x], dim=-1).view(1, 256, 2)
    windows = torch.tensor([[0.25, 0.5, 0.25], [0.125, 0.25, 0.5]])  # top, left, side
    windowed = window_pos_embed(pos_embed, (16, 16), (4, 8), windows).view(2, 4, 8, 2)
    for (top, left, side), places in zip(windows.tolist(), windowed, strict=True):
        rows = top + side * (torch.arange(4) + 0.5) / 4
        columns = left + side * (torch.arange(8) + 0.5) / 8
        torch.testing.assert_close(places[:, 0, 0], rows, atol=0.005, rtol=0)
        torch.testing.assert_close(places[0, :, 1], columns, atol=0.005, rtol=0)
