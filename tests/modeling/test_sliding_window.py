"""Windows cover the image; their mean by matrices is the mean by loops over windows and pixels."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from san.modeling.sliding_window import SlidingWindow, window_starts


@pytest.mark.parametrize("length", [1, 5, 31, 32, 33, 40, 48, 64, 100, 101])
@pytest.mark.parametrize("stride", [1, 8, 16, 31, 32])
def test_windows_cover_each_pixel(length, stride):
    """The last one is moved inside; none is more than a stride from the next; none is idle."""
    starts = window_starts(length, 32, stride)
    covered = {pixel for start in starts for pixel in range(start, min(start + 32, length))}
    assert covered == set(range(length))
    assert starts[0] == 0 and starts[-1] == max(length - 32, 0)
    assert all(0 < b - a <= stride for a, b in itertools.pairwise(starts))


CASES = [  # image, window, stride, patch, output
    ((64, 96), 32, 16, (8, 8), (64, 96)),
    ((70, 101), 32, 16, (8, 8), (123, 60)),
    ((70, 20), 32, 16, (8, 8), (70, 20)),  # narrower than the window
    ((50, 61), 30, 20, (8, 8), (50, 61)),  # a window that is no multiple of the patch
    ((50, 61), None, None, (8, 8), (90, 100)),  # the whole image
    ((5, 3), 32, 32, (8, 8), (7, 9)),  # smaller than a patch
    ((56, 84), 28, 14, (14, 14), (56, 84)),
]


@pytest.mark.parametrize(("image_size", "window", "stride", "patch", "output"), CASES)
def test_mean_over_windows(image_size, window, stride, patch, output):
    """Upsample each window, add, count, divide, resize: as SCLIP's evaluation is described."""
    windows = SlidingWindow(image_size, window, stride, patch)
    maps = torch.randn(len(windows), *windows.grid_size, 3)
    total, count = torch.zeros(3, *image_size), torch.zeros(image_size)
    index = 0
    height, width = windows.size
    for top in windows.starts[0]:
        for left in windows.starts[1]:
            padded = [n * p for n, p in zip(windows.grid_size, patch, strict=True)]
            x = F.interpolate(maps[index].permute(2, 0, 1)[None], padded, mode="bilinear")[0]
            total[:, top : top + height, left : left + width] += x[:, :height, :width]
            count[top : top + height, left : left + width] += 1
            index += 1
    assert index == len(windows) and count.min() >= 1
    expected = F.interpolate((total / count)[None], output, mode="bilinear")[0]
    rows, columns = windows.weights(output)
    actual = rows @ windows.mosaic(maps) @ columns.T
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(output[0]))


@pytest.mark.parametrize(("image_size", "window", "stride", "patch", "output"), CASES)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_cut(image_size, window, stride, patch, output, batch_size):
    """Every window once, row by row, padded with zeros to whole patches."""
    windows = SlidingWindow(image_size, window, stride, patch)
    image = torch.rand(3, *image_size) + 1
    batches = list(windows.cut(image, batch_size))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    cut = torch.cat(batches)
    assert len(cut) == len(windows)
    height, width = windows.size
    for x, (top, left) in zip(
        cut, [(y, x) for y in windows.starts[0] for x in windows.starts[1]], strict=True
    ):
        assert x.shape[1:] == tuple(n * p for n, p in zip(windows.grid_size, patch, strict=True))
        assert torch.equal(x[:, :height, :width], image[:, top : top + height, left : left + width])
        assert not x[:, height:].any() and not x[:, :, width:].any()
