"""Evaluation of semantic segmentation: confusion matrix, reports, test-time augmentation."""

from .sem_seg import SemSegEvaluator
from .tta import SegmentorWithTTA

__all__ = ["SegmentorWithTTA", "SemSegEvaluator"]
