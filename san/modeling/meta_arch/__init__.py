"""Whole models, one file per method; importing this registers them in META_ARCH_REGISTRY."""

from .clip_training import CLIP
from .dense_clip import DenseCLIP
from .maskclip import MaskCLIP
from .open_vocab import OpenVocabSegmentor
from .san import SAN
from .sclip import SCLIP

__all__ = ["CLIP", "SAN", "SCLIP", "DenseCLIP", "MaskCLIP", "OpenVocabSegmentor"]
