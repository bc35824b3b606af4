"""Evaluators of every kind of data set, reports, test-time augmentation."""

from .options import SemSegOptions
from .oracle import OracleVocabulary
from .predictions import evaluate_saved
from .retrieval import RetrievalEvaluator
from .sem_seg import SemSegEvaluator
from .tta import SegmentorWithTTA
from .zero_shot import ZeroShotEvaluator

__all__ = [
    "OracleVocabulary",
    "RetrievalEvaluator",
    "SegmentorWithTTA",
    "SemSegEvaluator",
    "SemSegOptions",
    "ZeroShotEvaluator",
    "evaluate_saved",
]
