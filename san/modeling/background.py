"""Background rules of methods that score every class at every pixel, class 0 being the background.

Folded into the scores, so that the best class of a pixel is the label, whoever takes it.

C classes.
"""

from typing import NamedTuple


class Background(NamedTuple):
    """Thresholds of SCLIP's evaluation (https://github.com/wangf3014/SCLIP); 0: none."""

    score_threshold: float = 0.0  # a pixel whose best score is below this is background
    area_threshold: float = 0.0  # so is a class of at most this share of the foreground

    def too_small(self, areas):
        """Which classes lose their pixels.

        Args:
            areas (Tensor): (C,) number of pixels that each class is the best one of.

        Returns:
            Tensor: (C,) bool; never class 0.
        """
        foreground = areas[1:].sum()
        small = areas <= self.area_threshold * foreground
        small[0] = False
        return small & (self.area_threshold > 0)

    def fold(self, scores):
        """Apply both rules to scores (C, H, W) of 0 and more, in place; returns them."""
        if self.area_threshold > 0:
            areas = scores.argmax(dim=0).flatten().bincount(minlength=len(scores))
            scores[self.too_small(areas)] = 0
        if self.score_threshold > 0:
            scores[1:, scores.amax(dim=0) < self.score_threshold] = 0
        return scores
