"""MaskCLIP (Zhou et al., arXiv 2112.01071): in the last block each patch keeps its own value.

The attention of the last block is the identity; two refinements, off by default, act on what CLIP
sees.

W words, N = h * w patches of a window, E width.
"""

from functools import partial

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch.nn import functional as F

from ..backbone.clip_attention import identity_attention
from ..backbone.clip_vit import DenseClipViT
from .dense_clip import DenseCLIP
from .dense_clip_config import dense_clip_from_config, require

SHARPNESS = 100.0  # factor of the cosines in both refinements
ABSENT = -1.0  # the least a cosine can be


@META_ARCH_REGISTRY.register()
class MaskCLIP(DenseCLIP):
    """Dense CLIP with identity attention.

    Args:
        prompt_denoising (float): a word whose share is below this at every patch of the image is
            left out of it, 0..1; 0: none is.
        key_smoothing (float): a patch whose best share is below this takes the shares of patches
            with like keys, 0..1; 0: none does, 1: all do.
        others: see DenseCLIP.
    """

    @configurable
    def __init__(self, *, prompt_denoising=0.0, key_smoothing=0.0, **others):
        super().__init__(**others)
        self.prompt_denoising = prompt_denoising
        self.key_smoothing = key_smoothing

    @classmethod
    def from_config(cls, cfg):
        """Translate a config into the arguments of ``__init__``."""
        build = partial(DenseClipViT, attention=identity_attention)
        arguments = dense_clip_from_config(cfg, build)
        for name, value in cfg.MODEL.MASKCLIP.items():
            key = f"MODEL.MASKCLIP.{name}"
            arguments[name.lower()] = require(key, value, 0 <= value <= 1, "a share from 0 to 1")
        return arguments

    def refine_windows(self, cosines, keys):
        """Both refinements; see DenseCLIP."""
        if self.prompt_denoising > 0:
            cosines = denoise_prompts(cosines, self.prompt_denoising)
        if self.key_smoothing > 0:
            cosines = smooth_by_keys(cosines, torch.cat(keys).float(), self.key_smoothing)
        return cosines


def denoise_prompts(cosines, threshold):
    """Take words that are nowhere in the image out of it, wherever its windows are.

    Args:
        cosines (Tensor): (n, N, W), of all windows of an image.
        threshold (float): of the largest share of a word.

    Returns:
        Tensor: (n, N, W), -1 for words that are out; the best word of all is never.
    """
    shares = (SHARPNESS * cosines).softmax(dim=-1).flatten(0, 1).amax(dim=0)  # (W,)
    return cosines.masked_fill((shares < threshold) & (shares < shares.max()), ABSENT)


def smooth_by_keys(cosines, keys, threshold):
    """Replace the shares of unsure patches by sums over patches, weighted by likeness of keys.

    Args:
        cosines (Tensor): (n, N, W).
        keys (Tensor): (n, N, E).
        threshold (float): of a patch's best share.

    Returns:
        Tensor: (n, N, W): shares, or sums of them.
    """
    shares = (SHARPNESS * cosines).softmax(dim=-1)
    keys = F.normalize(keys, dim=-1)
    smooth = keys @ (keys.transpose(1, 2) @ shares)  # (n, N, E) x (n, E, W)
    return torch.where(shares.amax(dim=-1, keepdim=True) < threshold, smooth, shares)
