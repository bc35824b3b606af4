"""Test-time augmentation: scores averaged over image scales and mirror images."""

import torch
from detectron2.modeling import DatasetMapperTTA
from fvcore.transforms import HFlipTransform
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class SegmentorWithTTA(nn.Module):
    """A segmentor that sees every image at several scales, and mirrored, and averages its scores.

    Same input as the segmentor; the output always has ``sem_seg``, since label maps do not average.
    """

    def __init__(self, model, augment):
        """
        Args:
            model (nn.Module): takes a list of dicts, gives a list of dicts with ``sem_seg``.
            augment (callable): input dict -> list of input dicts, each with the ``transforms`` that
                made its image; Detectron2's DatasetMapperTTA.
        """
        super().__init__()
        self.model = model.module if isinstance(model, DistributedDataParallel) else model
        self.augment = augment

    @classmethod
    def from_config(cls, cfg, model):
        """Scales and mirror images as TEST.AUG says."""
        return cls(model, DatasetMapperTTA(cfg))

    @torch.no_grad()
    def forward(self, batched_inputs):
        """
        Args:
            batched_inputs (list[dict]): the segmentor's input, ``image`` on the CPU.

        Returns:
            list[dict]: ``sem_seg`` (C, height, width), mean of the scores.
        """
        return [{"sem_seg": self._mean_scores(record)} for record in batched_inputs]

    def _mean_scores(self, record):
        augmented = self.augment({**record, "output": "sem_seg"})
        total = None
        for variant in augmented:
            transforms = variant.pop("transforms").transforms
            scores = self.model([variant])[0]["sem_seg"]  # (C, height, width)
            if any(isinstance(t, HFlipTransform) for t in transforms):
                scores = scores.flip(2)
            total = scores if total is None else total.add_(scores)
        return total.div_(len(augmented))
