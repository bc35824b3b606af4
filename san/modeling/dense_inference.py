"""From cosines of patches and words to pixels: class scores, or a label map without them.

The tail of SCLIP's evaluation (arXiv 2312.01597; https://github.com/wangf3014/SCLIP), shared by all
dense methods: softmax over all words, the best synonym of a class, background rules.

C classes, W words (synonyms included), (H, W) output.
"""

from typing import NamedTuple

import torch

from .background import Background
from .mask_inference import NONE

_TILE_VALUES = {"cpu": 1 << 19, "cuda": 1 << 25}  # cosines of one tile


class DenseInference(NamedTuple):
    """How an image is seen, and how its cosines are read."""

    window: int | None  # side of the sliding window in pixels; None: the whole image at once
    stride: int | None  # of the window, in pixels
    logit_scale: float | None  # factor of the cosines; None: CLIP's own
    background: Background

    def under(self, protocol):
        """The same with the settings of a ``san.protocol.Protocol``; None: no change."""
        if protocol is None:
            return self
        return DenseInference(
            protocol.window,
            protocol.stride,
            protocol.logit_scale or self.logit_scale,
            Background(protocol.score_threshold, protocol.area_threshold),
        )


def tile_side(num_words, device):
    """Side of a tile in pixels: as large as the cache, or the device's memory, invites."""
    side = max(16, int((_TILE_VALUES.get(device.type, 1 << 25) / num_words) ** 0.5))
    return side - (side % 32 == 0)  # words that lie whole pages apart would share cache lines


def semantic_scores(make_tiles, output_size, text, logit_scale, background):
    """Scores of all classes at all pixels.

    Args:
        make_tiles (callable): gives an iterable of (rows, columns, cosines (W, rows, columns)) that
            covers the output; see ``tiles.tiles``.
        output_size (tuple[int, int]): (H, W).
        text (TextEmbeddings): of the vocabulary, without no-object.
        logit_scale (float): factor of the cosines.
        background (Background)

    Returns:
        Tensor: (C, H, W) float32: the share, 0..1, of a class's best word among all words, or 0
        where a rule takes the class out.
    """
    scores = text.embeds.new_empty((text.num_classes, *output_size))
    for rows, columns, cosines in make_tiles():
        probs = (cosines * logit_scale).softmax(dim=0)
        scores[:, rows, columns] = text.classes(probs.movedim(0, -1)).movedim(-1, 0)
    return background.fold(scores)


def label_map(make_tiles, output_size, text, logit_scale, background, background_threshold=None):
    """The best class of each pixel; no array of W x H x W exists at any time.

    Args:
        make_tiles, output_size, text, logit_scale, background: as in :func:`semantic_scores`.
        background_threshold (float | None): a pixel is none where the share that its class leaves
            to all others, 1 - score, is this or more; None: every pixel gets a class.

    Returns:
        labels (H, W) int32, 0..C-1 or -1 for none; scores (H, W) float32 of the best class.
    """
    owner = text.class_of_word  # (W,)
    if owner is None:
        owner = torch.arange(text.num_classes, device=text.embeds.device)
    excluded = _words_of_small_classes(make_tiles, owner, text.num_classes, background)
    labels = torch.empty(output_size, dtype=torch.int32, device=owner.device)
    scores = torch.empty(output_size, device=owner.device)
    for rows, columns, cosines in make_tiles():
        label, score = _best_class(
            cosines * logit_scale, owner, excluded, background.score_threshold
        )
        if background_threshold is not None:
            label = torch.where(1 - score >= background_threshold, NONE, label)
        labels[rows, columns] = label.to(torch.int32)
        scores[rows, columns] = score
    return labels, scores


def _words_of_small_classes(make_tiles, owner, num_classes, background):
    """(W,) bool, words that the area rule takes out; None where there is no such rule."""
    if background.area_threshold == 0:
        return None
    areas = torch.zeros(num_classes, dtype=torch.int64, device=owner.device)
    for _, _, cosines in make_tiles():
        areas += owner[cosines.max(dim=0).indices].flatten().bincount(minlength=num_classes)
    return background.too_small(areas)[owner]


def _best_class(logits, owner, excluded, score_threshold):
    """logits (W, rows, columns) -> class and score, each (rows, columns)."""
    top, word = logits.max(dim=0)
    total = (logits - top).exp_().sum(dim=0)  # of all words, excluded or not

    def share(logit):
        return (logit - top).exp() / total

    best = top
    if excluded is not None:
        best, word = logits.masked_fill(excluded[:, None, None], float("-inf")).max(dim=0)
    label, score = owner[word], share(best)
    if score_threshold > 0:
        low = score < score_threshold
        label = label.masked_fill(low, 0)
        score = torch.where(low, share(logits[owner == 0].amax(dim=0)), score)
    return label, score
