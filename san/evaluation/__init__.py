"""Evaluators of every kind of data set, reports, test-time augmentation."""

from .retrieval import RetrievalEvaluator
from .sem_seg import SemSegEvaluator
from .tta import SegmentorWithTTA
from .zero_shot import ZeroShotEvaluator

__all__ = ["RetrievalEvaluator", "SegmentorWithTTA", "SemSegEvaluator", "ZeroShotEvaluator"]
