"""Set loss with deep supervision.

MaskFormer (arXiv 2107.06278), Sec. 3.3, with the point-sampled mask losses of Mask2Former
(arXiv 2112.01527), Sec. 3.3, and PointRend's choice of points (arXiv 1912.08193), Sec. 4.1.

T supervised levels, B images, Q queries, C classes, M target masks of the batch, K matched pairs,
P points.
"""

from typing import NamedTuple

import torch
from detectron2.projects.point_rend.point_features import point_sample
from detectron2.utils import comm
from torch import nn
from torch.nn import functional as F

from .matcher import assign, matching_costs


class Targets(NamedTuple):
    """The targets of a batch, image after image."""

    classes: torch.Tensor  # (M,) int64
    masks: torch.Tensor  # (M, 1, H, W) float
    images: torch.Tensor  # (M,) int64, the image of each
    places: torch.Tensor  # (M,) int64, its place among those of the image
    counts: list  # of each image
    starts: torch.Tensor  # (B,) int64, where those of each image begin
    valid: torch.Tensor | None  # (B, 1, H, W) float, 0 at ignored pixels, if they are left out
    generators: list  # torch.Generator | None of each image


class SetCriterion(nn.Module):
    """Matches proposals to targets and compares classes and masks.

    Args:
        num_classes (int): C of the training vocabulary.
        weights (dict[str, float]): of "loss_ce", "loss_mask" and "loss_dice", in matching too.
        no_object_weight (float): weight of the no-object class in the cross entropy.
        num_points (int): P.
        oversample_ratio (float): points drawn for each one kept for its uncertainty.
        importance_sample_ratio (float): share of P kept for uncertainty; the rest is uniform.
        exclude_ignored (bool): leave pixels without a class out of the mask losses, and unmatched
            proposals that lie mostly on them out of the class loss, since nobody knows what is
            there; else these pixels are negatives of every mask, and these proposals no objects, as
            in the published training.
    """

    def __init__(
        self,
        *,
        num_classes,
        weights,
        no_object_weight=0.1,
        num_points=12544,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        exclude_ignored=False,
    ):
        super().__init__()
        self.num_classes = num_classes
        self.weights = weights
        self.num_points = num_points
        self.num_drawn = int(num_points * oversample_ratio)
        self.num_uncertain = int(num_points * importance_sample_ratio)
        self.exclude_ignored = exclude_ignored
        class_weight = torch.ones(num_classes + 1)
        class_weight[-1] = no_object_weight
        self.register_buffer("class_weight", class_weight)

    def forward(self, class_logits, mask_logits, targets):
        """Losses of a batch.

        Args:
            class_logits (Tensor): (T, B, Q, C + 1).
            mask_logits (Tensor): (T, B, Q, h, w).
            targets (list[dict]): for each image
                "classes" (N,) int64;
                "masks" (N, H, W) bool, of the padded image;
                "seed" int or None, of this image's random points.

        Returns:
            dict[str, Tensor]: "loss_ce", "loss_mask", "loss_dice" of the last level, times their
            weights; those of level i < T - 1 end in "_<i>".
        """
        class_logits, mask_logits = class_logits.float(), mask_logits.float()
        targets = self._collect(targets)
        pairs, unknown = self._match(class_logits, mask_logits, targets)
        pairs = pairs.to(mask_logits.device)
        num_masks = _mean_over_processes(sum(targets.counts), mask_logits).clamp_min(1)
        levels = {"loss_ce": self._class_losses(class_logits, targets, pairs, unknown)}  # (T,) each
        for name, loss in self._mask_losses(mask_logits, targets, pairs).items():
            total = loss.new_zeros(len(mask_logits)).index_add(0, pairs[0], loss)
            levels[name] = total / num_masks
        suffixes = [*(f"_{i}" for i in range(len(mask_logits) - 1)), ""]
        return {
            name + suffix: self.weights[name] * loss
            for name, losses in levels.items()
            for suffix, loss in zip(suffixes, losses.unbind(), strict=True)
        }

    def _collect(self, targets):
        """The targets of all images in one `Targets`."""
        counts = [len(target["classes"]) for target in targets]
        device = targets[0]["masks"].device
        valid = None
        if self.exclude_ignored:
            valid = torch.stack([t["masks"].any(dim=0, keepdim=True).float() for t in targets])
        seeds = [target.get("seed") for target in targets]
        return Targets(
            classes=torch.cat([target["classes"] for target in targets]),
            masks=torch.cat([target["masks"] for target in targets])[:, None].float(),
            images=torch.arange(len(targets)).repeat_interleave(torch.tensor(counts)).to(device),
            places=torch.cat([torch.arange(count) for count in counts]).to(device),
            counts=counts,
            starts=(torch.tensor(counts).cumsum(0) - torch.tensor(counts)).to(device),
            valid=valid,
            generators=[
                None if seed is None else torch.Generator(device).manual_seed(seed)
                for seed in seeds
            ],
        )

    def uniform(self, image, level, kind, shape, generator):
        """Random numbers 0..1 for one image: ``kind`` is "match", "drawn" or "rest"."""
        return torch.rand(shape, generator=generator, device=self.class_weight.device)

    @torch.no_grad()
    def _match(self, class_logits, mask_logits, targets):
        """(4, K): level, image, query, and target among those of the image.

        And (T, B, Q) bool, proposals that lie mostly on ignored pixels; None if these count.
        """
        points = [
            self.uniform(image, level, "match", (self.num_points, 2), generator)
            for level in range(len(mask_logits))
            for image, generator in enumerate(targets.generators)
        ]
        points = torch.stack(points).unflatten(0, mask_logits.shape[:2])  # (T, B, P, 2)
        sampled = _sample(mask_logits.flatten(0, 1), points.flatten(0, 1))
        sampled = sampled.unflatten(0, mask_logits.shape[:2])  # (T, B, Q, P)
        # Rows of zeros fill the targets of each image up to N, the most that one has
        size = len(targets.counts), max(targets.counts)
        classes = targets.classes.new_zeros(size)  # (B, N)
        classes[targets.images, targets.places] = targets.classes
        target_points = sampled.new_zeros(len(sampled), *size, self.num_points)  # (T, B, N, P)
        target_points[:, targets.images, targets.places] = _sample_levels(
            targets.masks, points[:, targets.images]
        )
        valid = unknown = None
        if targets.valid is not None:
            valid = _is_valid(_sample_levels(targets.valid, points))  # (T, B, P)
            probs = sampled.sigmoid()
            unknown = 2 * (probs @ valid[..., None])[..., 0] < probs.sum(-1)  # (T, B, Q)
        costs = matching_costs(class_logits, sampled, classes, target_points, self.weights, valid)
        return assign(costs, targets.counts), unknown

    def _class_losses(self, class_logits, targets, pairs, unknown):
        """Weighted cross entropy over all queries of all processes: (T, B, Q, C + 1) -> (T,).

        Unmatched queries that are ``unknown`` (T, B, Q) are left out.
        """
        level, image, query, place = pairs
        classes = torch.full(class_logits.shape[:3], self.num_classes, device=pairs.device)
        classes[level, image, query] = targets.classes[targets.starts[image] + place]
        weights = self.class_weight[classes]
        if unknown is not None:
            weights = weights.masked_fill(unknown & (classes == self.num_classes), 0)
        losses = F.cross_entropy(class_logits.flatten(0, 2), classes.flatten(), reduction="none")
        total = _mean_over_processes(weights.sum((1, 2)), class_logits).clamp_min(1e-6)  # (T,)
        return (weights * losses.unflatten(0, classes.shape)).sum((1, 2)) / total

    def _mask_losses(self, mask_logits, targets, pairs):
        """Sigmoid cross entropy and dice at points: (T, B, Q, h, w) -> two times (K,)."""
        level, image, query, place = pairs
        num_levels, _, num_queries = mask_logits.shape[:3]
        predicted = mask_logits[level, image, query][:, None]  # (K, 1, h, w)
        num_pairs = [min(count, num_queries) for count in targets.counts]
        points = self._choose_points(predicted, num_levels, num_pairs, targets.generators)
        logits = _sample(predicted, points)[:, 0]  # (K, P)
        target = targets.starts[image] + place  # (K,), each once in a level
        by_target = points.new_zeros(num_levels, len(targets.masks), *points.shape[1:])
        by_target[level, target] = points
        masks = _sample_levels(targets.masks, by_target)[level, target]  # (K, P)
        valid = torch.ones_like(masks)
        if targets.valid is not None:
            valid = _is_valid(_sample(targets.valid[image], points)[:, 0])
        loss = F.binary_cross_entropy_with_logits(logits, masks, valid, reduction="none")
        loss = loss.sum(1) / valid.sum(1).clamp_min(1)  # (K,)
        probs, masks = logits.sigmoid() * valid, masks * valid
        dice = 1 - (2 * (probs * masks).sum(1) + 1) / (probs.sum(1) + masks.sum(1) + 1)
        return {"loss_mask": loss, "loss_dice": dice}

    @torch.no_grad()
    def _choose_points(self, predicted, num_levels, num_pairs, generators):
        """(K, 1, h, w) -> (K, P, 2) as (x, y) 0..1: the most uncertain of many, some uniform.

        Every image draws its own, for its ``num_pairs`` in each level.
        """
        num_rest = self.num_points - self.num_uncertain
        drawn, rest = [], []
        for level in range(num_levels):
            for image, (count, generator) in enumerate(zip(num_pairs, generators, strict=True)):
                shapes = (count, self.num_drawn, 2), (count, num_rest, 2)
                drawn.append(self.uniform(image, level, "drawn", shapes[0], generator))
                rest.append(self.uniform(image, level, "rest", shapes[1], generator))
        drawn = torch.cat(drawn)  # (K, drawn, 2)
        certainty = _sample(predicted, drawn)[:, 0].abs()  # (K, drawn)
        kept = certainty.topk(self.num_uncertain, dim=1, largest=False, sorted=False).indices
        kept = drawn.gather(1, kept[..., None].expand(-1, -1, 2))
        return torch.cat([kept, torch.cat(rest)], dim=1)


def _sample(maps, points):
    """Bilinear samples: maps (B, K, h, w) at points (B, P, 2) -> (B, K, P)."""
    return point_sample(maps, points, align_corners=False)


def _sample_levels(maps, points):
    """maps (N, 1, H, W) at points (T, N, P, 2) -> (T, N, P), without a copy of the maps."""
    sampled = _sample(maps, points.transpose(0, 1).flatten(1, 2))[:, 0]  # (N, T * P)
    return sampled.unflatten(1, (len(points), -1)).transpose(0, 1)


def _is_valid(shares):
    """1 where all that a point touches has a class, from the sampled share of it."""
    return (shares > 0.999).float()


def _mean_over_processes(count, like):
    """A count's mean over all processes, so that the mean of their losses is the whole batch's."""
    count = torch.as_tensor(count, dtype=torch.float32, device=like.device)
    if comm.get_world_size() > 1:
        count = count.detach().clone()
        torch.distributed.all_reduce(count)
        count = count / comm.get_world_size()
    return count
