"""From mask and class logits to pixels: class scores, or a label map that never holds them.

Semantic inference of MaskFormer (arXiv 2107.06278, Eq. 3), in which SAN (arXiv 2302.12242) combines
proposals and their classes: score[c, y, x] = sum_q P[q, c] sigmoid(mask_logits[q, y, x]).

Q queries, C classes, (h, w) grid of the masks, (H, W) output.
"""

from functools import lru_cache
from typing import NamedTuple

import torch

from .tiles import cut, interpolation_weights, resize_rows, tiles

NONE = -1  # label of "none of these"
_TILE = {"cpu": 64, "cuda": 1024}  # side of a tile in pixels: fits the cache, or fills the device
_SCORES = 1 << 27  # that are held at once, at most, where tiles and vocabularies are large


class Resize(NamedTuple):
    """Where masks go: up to the padded model input, cut to the image, resized to the output."""

    padded_size: tuple  # (H, W) of the padded batch
    image_size: tuple  # (H, W) of this image in it
    output_size: tuple  # (H, W)

    def bands(self, grid_size, side, device):
        """The two bilinear resizes and the cut as one linear map per axis, for `tiles`.

        Returns:
            bands of (H, h) and (W, w) float32: output = rows @ masks @ columns.T.
        """
        return tuple(_bands(*axis, side, device) for axis in zip(grid_size, *self, strict=True))


@lru_cache(maxsize=64)  # the images of a data set have few sizes
def _bands(length, padded, kept, out, side, device):
    with torch.inference_mode(False):  # of use in any mode later
        weights = resize_rows(interpolation_weights(length, padded, kept), out)
        return cut(weights, side, device)


def semantic_scores(mask_logits, class_probs, resize):
    """Scores of all classes at all pixels.

    Args:
        mask_logits (Tensor): (Q, h, w).
        class_probs (Tensor): (Q, C), softmax over classes, "none of these" left out.
        resize (Resize)

    Returns:
        Tensor: (C, H, W) float32, scores of 0 and more that need not sum to 1.
    """
    scores = class_probs.new_empty((class_probs.shape[1], *resize.output_size), dtype=torch.float32)
    for rows, columns, masks in _tiles(mask_logits, resize):
        scores[:, rows, columns] = torch.einsum("qc,qhw->chw", class_probs.float(), masks)
    return scores


def label_map(mask_logits, class_probs, resize, background_threshold=None):
    """The best class of each pixel, tile by tile; no array of C x H x W exists at any time.

    Args:
        mask_logits (Tensor): (Q, h, w).
        class_probs (Tensor): (Q, C + 1), softmax over classes, "none of these" last.
        resize (Resize)
        background_threshold (float | None): a pixel is none where the share of "none of these" in
            the sum of all its scores is this or more; None: every pixel gets a class.

    Returns:
        labels (H, W) int32, 0..C-1 or -1 for none; scores (H, W) float32 of the best class.
    """
    class_probs = class_probs.float()
    labels = torch.empty(resize.output_size, dtype=torch.int32, device=class_probs.device)
    scores = torch.empty(resize.output_size, device=class_probs.device)
    for rows, columns, masks in _tiles(mask_logits, resize):
        masks = masks.flatten(1)  # (Q, pixels)
        score, label = _best_class(class_probs[:, :-1], masks)
        if background_threshold is not None:
            label = torch.where(_share(class_probs, masks) >= background_threshold, NONE, label)
        shape = labels[rows, columns].shape
        labels[rows, columns] = label.view(shape).to(torch.int32)
        scores[rows, columns] = score.view(shape)
    return labels, scores


def none_share(mask_logits, class_probs, resize):
    """Share of "none of these" in the sum of all scores of a pixel: (H, W) float32, 0..1.

    A pixel of :func:`label_map` is none where this reaches the threshold; the arguments are those.
    """
    share = torch.empty(resize.output_size, device=class_probs.device)
    for rows, columns, masks in _tiles(mask_logits, resize):
        share[rows, columns] = _share(class_probs.float(), masks.flatten(1)).view(masks.shape[1:])
    return share


def _share(probs, masks):
    """probs (Q, C + 1), masks (Q, pixels) -> share of "none of these" (pixels,)."""
    return probs[:, -1] @ masks / masks.sum(dim=0).clamp_min(1e-12)


def _best_class(probs, masks):
    """probs (Q, C), masks (Q, pixels) -> score and class (pixels,).

    Over a tile each mask lies between its least and its largest value, so each class's score lies
    between two sums. A class whose upper bound is below another's lower bound wins nowhere in the
    tile: it is left out, and the result is the same.
    """
    upper = masks.amax(dim=1) @ probs  # (C,)
    lower = masks.amin(dim=1) @ probs
    (kept,) = torch.nonzero(upper >= lower.max() * (1 - 1e-5), as_tuple=True)
    weights = probs[:, kept].T  # (kept, Q)
    if masks.shape[1] * len(kept) <= _SCORES:
        score, best = (weights @ masks).max(dim=0)
    else:
        parts = [(weights @ part).max(dim=0) for part in masks.split(_SCORES // len(kept), dim=1)]
        score, best = (torch.cat(values) for values in zip(*parts, strict=True))
    return score, kept[best]


def _tiles(mask_logits, resize):
    """Yield (rows, columns, masks): slices of the output, and probabilities (Q, rows, columns)."""
    side = _TILE.get(mask_logits.device.type, 512)
    bands = resize.bands(mask_logits.shape[-2:], side, mask_logits.device)
    for rows, columns, values in tiles(mask_logits, *bands):
        yield rows, columns, values.sigmoid()
