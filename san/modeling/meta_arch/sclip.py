"""SCLIP (Wang et al., arXiv 2312.01597): correlative self-attention in the last block of CLIP.

A patch attends to what is like it, by its query and by its key:
softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d)). The variants of it, and the alternatives that
the paper compares it with, are other values of ``MODEL.SCLIP.ATTENTION``.

B batch, C classes, E width, (h, w) grid of patches, (H, W) padded crop.
"""

from functools import partial

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from ..backbone.clip_attention import (
    correlative_attention,
    local_attention,
    plain_attention,
    projected_attention,
)
from ..backbone.clip_vit import DenseClipViT
from .dense_clip import DenseCLIP
from .dense_clip_config import dense_clip_from_config, require

# MODEL.SCLIP.ATTENTION that are made of queries and keys
QK_ATTENTIONS = {
    "csa": correlative_attention,
    "csa_q": partial(correlative_attention, parts="q"),
    "csa_k": partial(correlative_attention, parts="k"),
    "plain": plain_attention,  # CLIP's own; sharpened by TEMPERATURE, of an early QK_BLOCK
    "local": local_attention,
}
# ... and those that are made of the tokens, by projections of their own
PROJECTED = ("identity_projection", "random_projection", "learned_projection")
UNLABELED = -1


class ProjectedAttention(nn.Module):
    """Correlative attention by other projections than CLIP's, drawn at random.

    Args:
        width (int): E.
        num_projections (int): R; what they attend to is averaged.
        seed (int): of the draw, from a normal distribution that keeps the length of a token.
        learned (bool): train them from there. Else the seed is all there is to know of them: they
            are no part of a state dict.
        temperature (float): see ``clip_attention``.
    """

    def __init__(self, width, num_projections, seed, learned=False, temperature=1.0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(num_projections, width, width, generator=generator) / width**0.5
        if learned:
            self.projections = nn.Parameter(drawn)  # (R, E, E)
        else:
            self.register_buffer("projections", drawn, persistent=False)
        self.temperature = temperature

    def forward(self, inputs):
        """AttentionInputs -> (B, n, N, d)."""
        return projected_attention(inputs, self.projections, self.temperature)


@META_ARCH_REGISTRY.register()
class SCLIP(DenseCLIP):
    """Dense CLIP with correlative self-attention; arguments are those of DenseCLIP."""

    @configurable
    def __init__(self, **arguments):
        super().__init__(**arguments)

    @classmethod
    def from_config(cls, cfg):
        """Translate a config into the arguments of ``__init__``."""
        return dense_clip_from_config(cfg, partial(_build_clip_vit, cfg.MODEL.SCLIP))

    def forward(self, batched_inputs):
        """Segment images, see DenseCLIP, or in training compute the loss of learned projections.

        In training each input has "instances" with gt_classes (N,) and gt_masks (N, H, W) bool, of
        the image's size. Returns dict[str, Tensor] with "loss_ce", the cross entropy of the
        classes: the mean over the labeled pixels of the batch.
        """
        if not self.training:
            return super().forward(batched_inputs)
        texts = self.embed_text(batched_inputs)
        sums, counts = zip(*map(self._cross_entropy, batched_inputs, texts), strict=True)
        return {"loss_ce": sum(sums) / max(1, sum(counts))}

    def _cross_entropy(self, inputs, text):
        """One image's sum over its labeled pixels, and their number."""
        labels = labels_of(inputs["instances"].to(self.device))  # (H, W)
        image = self.preprocess_image([inputs]).tensor[0]  # (3, H, W)
        windows = self.windows(image, self.inference)
        cosines = self.classify(image, windows, text)  # (words, n_r * h, n_c * w)
        with self.full_precision():
            rows, columns = (w.to(self.device) for w in windows.weights(labels.shape))
            cosines = (rows @ cosines @ columns.T).movedim(0, -1)  # (H, W, words)
            logits = text.classes(self.logit_scale(self.inference) * cosines).flatten(0, 1)
            loss = F.cross_entropy(
                logits, labels.flatten(), ignore_index=UNLABELED, reduction="sum"
            )
        return loss, int((labels != UNLABELED).sum())


def _build_clip_vit(node, visual):
    """The vision tower with the attention that MODEL.SCLIP asks for."""
    key = "MODEL.SCLIP."
    names = (*QK_ATTENTIONS, *PROJECTED)
    name, block, blocks = node.ATTENTION, node.QK_BLOCK, len(visual.transformer.resblocks)
    require(f"{key}ATTENTION", name, name in names, f"one of {', '.join(names)}")
    require(f"{key}TEMPERATURE", node.TEMPERATURE, node.TEMPERATURE > 0, "a factor above 0")
    require(
        f"{key}QK_BLOCK",
        block,
        block == 0 or (name in QK_ATTENTIONS and 1 <= block <= blocks),
        f"0 for the last block, or for {', '.join(QK_ATTENTIONS)} another one, 1 to {blocks}",
    )
    attention = (_qk_attention if name in QK_ATTENTIONS else _projected_attention)(node, visual)
    return DenseClipViT(visual, attention, block)


def _qk_attention(node, visual):
    attention = partial(QK_ATTENTIONS[node.ATTENTION], temperature=node.TEMPERATURE)
    if node.ATTENTION != "local":
        return attention
    size = node.LOCAL_WINDOW
    require("MODEL.SCLIP.LOCAL_WINDOW", size, size >= 1 and size % 2, "an odd number of patches")
    return partial(attention, window=size)


def _projected_attention(node, visual):
    count, learned = node.NUM_PROJECTIONS, node.ATTENTION == "learned_projection"
    require("MODEL.SCLIP.NUM_PROJECTIONS", count, count >= 1, "a number of projections from 1")
    if node.ATTENTION == "identity_projection":
        return partial(projected_attention, projections=None, temperature=node.TEMPERATURE)
    width = visual.class_embedding.shape[0]
    return ProjectedAttention(width, count, node.PROJECTION_SEED, learned, node.TEMPERATURE)


def labels_of(instances):
    """Disjoint masks of classes, (N, H, W) bool -> label map (H, W) int64, -1: unlabeled."""
    numbers = instances.gt_classes[:, None, None] + 1
    return (instances.gt_masks * numbers).sum(dim=0) + UNLABELED
