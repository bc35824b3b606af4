"""Whole models, one file per method; importing this registers them in META_ARCH_REGISTRY."""

from .clip_training import CLIP
from .open_vocab import OpenVocabSegmentor
from .san import SAN

__all__ = ["CLIP", "SAN", "OpenVocabSegmentor"]
