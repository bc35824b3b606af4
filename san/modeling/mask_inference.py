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
_TILE = {"cpu": 128, "cuda": 1024}  # largest side of a tile in pixels
_TILE_VALUES = {"cpu": 1 << 20}  # of all masks in a tile: what the cache holds
_FEW = {"cpu": 4, "cuda": 128}  # classes that are scored at all pixels: to choose takes longer
_STEP = 8  # in pixels, from one sample point of a tile to the next
_AT_ONCE = 64  # classes, of many
_GATHERING = 32  # classes that could be scored at a pixel while its masks are gathered
_ROUNDING = 1e-5  # relative, of bounds and scores


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
    candidates, favorites = _candidates(class_probs[:, :-1])  # (K,), (F,)
    probs = class_probs[:, candidates]  # (Q, K)
    labels = torch.empty(resize.output_size, dtype=torch.int32, device=class_probs.device)
    scores = torch.empty(resize.output_size, device=class_probs.device)
    for rows, columns, masks in _tiles(mask_logits, resize):
        score, label = _best_class(probs, favorites, masks)  # (pixels,)
        label = candidates.index_select(0, label)
        if background_threshold is not None:
            none = _share(class_probs, masks.flatten(1)) >= background_threshold
            label = label.masked_fill(none, NONE)
        shape = masks.shape[1:]
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


def _candidates(probs):
    """Classes that may be the best one of a pixel.

    Each proposal has a favorite class. At any pixel the best of the favorites has at least their
    mean score: a class that no proposal gives more than the mean of the favorites wins nowhere.

    Args:
        probs (Tensor): (Q, C).

    Returns:
        candidates (K,), ascending, and which of them are favorites (F,), ascending.
    """
    favorites = probs.argmax(dim=1).unique()
    mean = probs[:, favorites].mean(dim=1, keepdim=True)  # (Q, 1)
    possible = (probs > mean).any(dim=0)
    possible[favorites] = True
    candidates = possible.nonzero()[:, 0]
    return candidates, torch.searchsorted(candidates, favorites)


def _best_class(probs, favorites, masks):
    """Exact branch and bound: the best class of each pixel of a tile.

    First come the favorites that are the best ones at sample points. The largest value of each mask
    in the tile bounds the score of every other class: those come in the order of their bounds, some
    at a time, each time for the pixels whose score is below the next bound.

    Args:
        probs (Tensor): (Q, K).
        favorites (Tensor): (F,) indices of 0..K-1.
        masks (Tensor): (Q, rows, columns), 0..1.

    Returns:
        scores and classes 0..K-1, each (pixels,).
    """
    if probs.shape[1] <= _FEW.get(probs.device.type, 128):
        return (probs.T @ masks.flatten(1)).max(dim=0)
    points = masks[:, ::_STEP, ::_STEP].flatten(1)  # (Q, points)
    masks = masks.flatten(1)  # (Q, pixels)
    first = favorites[(probs[:, favorites].T @ points).argmax(dim=0)]
    tried = torch.zeros_like(probs[0], dtype=torch.bool).index_fill_(0, first, True)
    classes = tried.nonzero()[:, 0]
    score, index = (probs[:, classes].T @ masks).max(dim=0)
    best = classes.index_select(0, index)  # three times as fast as classes[index]
    bounds = masks.amax(dim=1) @ probs * (1 + _ROUNDING)  # (K,)
    rest = (bounds.masked_fill_(tried, 0) > score.min()).nonzero()[:, 0]
    bounds, order = bounds[rest].sort(descending=True)
    everywhere = torch.arange(len(score), device=score.device)
    for start in range(0, len(rest), _AT_ONCE):
        pixels = (score < bounds[start]).nonzero()[:, 0]
        if len(pixels) == 0:
            break
        classes = rest[order[start : start + _AT_ONCE]]
        if len(pixels) * (len(classes) + _GATHERING) < len(score) * len(classes):
            part = masks.index_select(1, pixels)
        else:
            pixels, part = everywhere, masks
        scores = probs[:, classes].T @ part  # (classes, pixels)
        better = (scores.amax(dim=0) > score.index_select(0, pixels)).nonzero()[:, 0]
        value, index = scores.index_select(1, better).max(dim=0)
        pixels = pixels.index_select(0, better)
        score.index_copy_(0, pixels, value)
        best.index_copy_(0, pixels, classes.index_select(0, index))
    return score, best


def _tiles(mask_logits, resize):
    """Yield (rows, columns, masks): slices of the output, and probabilities (Q, rows, columns)."""
    side = _tile_side(len(mask_logits), mask_logits.device.type)
    bands = resize.bands(mask_logits.shape[-2:], side, mask_logits.device)
    for rows, columns, values in tiles(mask_logits, *bands):
        yield rows, columns, values.sigmoid_()


def _tile_side(num_queries, device):
    """Pixels, a multiple of 32 where the number of masks decides."""
    largest = _TILE.get(device, 512)
    if device not in _TILE_VALUES:
        return largest
    return min(largest, max(32, int((_TILE_VALUES[device] / num_queries) ** 0.5) // 32 * 32))
