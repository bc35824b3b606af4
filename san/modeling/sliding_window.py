"""Sliding windows: where they lie, and the mean of what is seen in them.

Windows overlap; a pixel has the mean of the score maps of all windows that it lies in, each resized
bilinearly from its grid of patches to the window. All of this is linear, and separate for rows and
columns: with the maps of all windows laid side by side (the mosaic), the mean over the windows,
resized to the output, is ``rows @ mosaic @ columns.T``. No map of the image's size is needed.

(H, W) image, (h, w) grid of one window, n_r x n_c windows.
"""

import torch
from torch.nn import functional as F

from .tiles import interpolation_weights, resize_rows


def window_starts(length, window, stride):
    """First pixels of the windows along one axis, which together cover it.

    The last window is moved inside. An axis shorter than the window has one window, of its length.
    """
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


class SlidingWindow:
    """The windows of one image.

    Args:
        image_size (tuple[int, int]): (H, W) in pixels.
        window, stride (int | None): in pixels; None: one window, the whole image.
        patch_size (tuple[int, int]): windows are padded with zeros, to the right and below, to a
            multiple of it, so that every pixel lies in a patch.
    """

    def __init__(self, image_size, window, stride, patch_size):
        self.image_size = tuple(image_size)
        self.patch_size = tuple(patch_size)
        self.size = tuple(min(window or length, length) for length in image_size)
        self.starts = tuple(
            window_starts(length, size, stride or length)
            for length, size in zip(image_size, self.size, strict=True)
        )

    @property
    def grid_size(self):
        """(h, w) of one window, in patches."""
        return tuple(-(-s // p) for s, p in zip(self.size, self.patch_size, strict=True))

    def __len__(self):
        return len(self.starts[0]) * len(self.starts[1])

    def cut(self, image, batch_size):
        """Yield the windows of an image (3, H, W), row by row, ``batch_size`` at a time.

        Each batch is (n, 3, h * patch height, w * patch width).
        """
        corners = [(top, left) for top in self.starts[0] for left in self.starts[1]]
        height, width = self.size
        padded = [n * p for n, p in zip(self.grid_size, self.patch_size, strict=True)]
        padding = (0, padded[1] - width, 0, padded[0] - height)
        for i in range(0, len(corners), batch_size):
            windows = [
                image[:, top : top + height, left : left + width]
                for top, left in corners[i : i + batch_size]
            ]
            yield F.pad(torch.stack(windows), padding)

    def mosaic(self, maps):
        """Lay maps (n_r * n_c, h, w, C), of the windows row by row, side by side.

        Returns:
            Tensor: (C, n_r * h, n_c * w).
        """
        maps = maps.unflatten(0, tuple(map(len, self.starts)))  # (n_r, n_c, h, w, C)
        return maps.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)

    def weights(self, output_size):
        """The mean over all windows, and the resize of the image to the output, per axis.

        Returns:
            (height, n_r * h) and (width, n_c * w) float32 on the CPU.
        """
        return tuple(self._axis_weights(axis, output_size[axis]) for axis in (0, 1))

    def _axis_weights(self, axis, out):
        length, size, starts = self.image_size[axis], self.size[axis], self.starts[axis]
        patches, patch = self.grid_size[axis], self.patch_size[axis]
        window = interpolation_weights(patches, patches * patch, size)  # (size, patches)
        weights = torch.zeros(length, len(starts), patches)
        for i, start in enumerate(starts):
            weights[start : start + size, i] = window
        count = weights.any(dim=-1).sum(dim=1)  # (length,): windows that a pixel lies in
        return resize_rows(weights.flatten(1) / count[:, None], out)
