"""Set loss with deep supervision.

MaskFormer (arXiv 2107.06278), Sec. 3.3, with the point-sampled mask losses of Mask2Former
(arXiv 2112.01527), Sec. 3.3, and PointRend's choice of points (arXiv 1912.08193), Sec. 4.1.

T supervised levels, B images, Q queries, C classes, N masks of an image, M matched masks of the
batch, P points.
"""

import torch
from detectron2.projects.point_rend.point_features import point_sample
from detectron2.utils import comm
from torch import nn
from torch.nn import functional as F

from .matcher import assign, matching_costs


class SetCriterion(nn.Module):
    """Matches proposals to targets and compares classes and masks.

    Args:
        num_classes (int): C of the training vocabulary.
        weights (dict[str, float]): of "loss_ce", "loss_mask" and "loss_dice", in matching too.
        no_object_weight (float): weight of the no-object class in the cross entropy.
        num_points (int): P.
        oversample_ratio (float): points drawn for each one kept for its uncertainty.
        importance_sample_ratio (float): share of P kept for uncertainty; the rest is uniform.
        exclude_ignored (bool): leave pixels without a class out of the mask losses; else they are
            negatives of every mask, as in the published training.
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
        targets = [self._prepare(target) for target in targets]
        matches = self._match(class_logits, mask_logits, targets)
        num_masks = _mean_over_processes(sum(len(t["classes"]) for t in targets), mask_logits)
        losses = {}
        for i in range(len(class_logits)):
            level = {"loss_ce": self._class_loss(class_logits[i], targets, matches[i])}
            level.update(self._mask_losses(i, mask_logits[i], targets, matches[i], num_masks))
            suffix = "" if i + 1 == len(class_logits) else f"_{i}"
            losses.update({k + suffix: self.weights[k] * v for k, v in level.items()})
        return losses

    def _prepare(self, target):
        """Masks as float; "valid" (1, H, W) where ignored pixels are left out; the generator."""
        masks = target["masks"]
        prepared = {**target, "masks": masks.float(), "valid": None, "generator": None}
        if self.exclude_ignored:
            prepared["valid"] = masks.any(dim=0, keepdim=True).float()
        if target.get("seed") is not None:
            generator = torch.Generator(masks.device).manual_seed(target["seed"])
            prepared["generator"] = generator
        return prepared

    def uniform(self, target, level, kind, shape):
        """Random numbers 0..1 for one image: ``kind`` is "match", "drawn" or "rest"."""
        return torch.rand(shape, generator=target["generator"], device=target["masks"].device)

    def _match(self, class_logits, mask_logits, targets):
        """For each level a list, for each image (query indices, target indices)."""
        costs = []
        for i in range(len(class_logits)):
            points = [self.uniform(t, i, "match", (1, self.num_points, 2)) for t in targets]
            sampled = _sample(mask_logits[i], torch.cat(points))  # (B, Q, P)
            for b, target in enumerate(targets):
                valid = None if target["valid"] is None else _sample_valid(target, points[b])[0]
                target_points = _sample(target["masks"][None], points[b])[0]  # (N, P)
                costs.append(
                    matching_costs(
                        class_logits[i, b],
                        sampled[b],
                        target["classes"],
                        target_points,
                        self.weights,
                        valid,
                    )
                )
        matches = assign(costs)
        return [matches[i : i + len(targets)] for i in range(0, len(matches), len(targets))]

    def _class_loss(self, logits, targets, matches):
        """Weighted cross entropy over all queries (B, Q, C + 1) of all processes."""
        classes = torch.full(logits.shape[:2], self.num_classes, device=logits.device)  # (B, Q)
        for b, (queries, chosen) in enumerate(matches):
            classes[b, queries] = targets[b]["classes"][chosen]
        loss = F.cross_entropy(
            logits.flatten(0, 1), classes.flatten(), self.class_weight, reduction="sum"
        )
        return loss / _mean_over_processes(self.class_weight[classes].sum(), logits)

    def _mask_losses(self, level, mask_logits, targets, matches, num_masks):
        """Sigmoid cross entropy and dice at the points: mask_logits (B, Q, h, w)."""
        logits, masks, valid = [], [], []
        for b, (queries, chosen) in enumerate(matches):
            target = targets[b]
            predicted = mask_logits[b, queries]  # (N, h, w)
            points = self._choose_points(predicted, target, level)  # (N, P, 2)
            logits.append(_sample(predicted[:, None], points)[:, 0])  # (N, P)
            masks.append(_sample(target["masks"][chosen][:, None], points)[:, 0])
            if target["valid"] is not None:
                valid.append(_sample_valid(target, points))
        logits, masks = torch.cat(logits), torch.cat(masks)  # (M, P)
        valid = torch.cat(valid) if valid else torch.ones_like(masks)
        mask_loss = F.binary_cross_entropy_with_logits(logits, masks, valid, reduction="none")
        mask_loss = mask_loss.sum(1) / valid.sum(1).clamp_min(1)  # (M,)
        probs, masks = logits.sigmoid() * valid, masks * valid
        dice = 1 - (2 * (probs * masks).sum(1) + 1) / (probs.sum(1) + masks.sum(1) + 1)
        num_masks = num_masks.clamp_min(1)
        return {"loss_mask": mask_loss.sum() / num_masks, "loss_dice": dice.sum() / num_masks}

    @torch.no_grad()
    def _choose_points(self, mask_logits, target, level):
        """(N, h, w) -> (N, P, 2) as (x, y) 0..1: the most uncertain of many, and some uniform."""
        num_masks = len(mask_logits)
        drawn = self.uniform(target, level, "drawn", (num_masks, self.num_drawn, 2))
        certainty = _sample(mask_logits[:, None], drawn)[:, 0].abs()  # (N, drawn)
        kept = certainty.topk(self.num_uncertain, dim=1, largest=False).indices
        kept = drawn.gather(1, kept[..., None].expand(-1, -1, 2))
        num_rest = self.num_points - self.num_uncertain
        rest = self.uniform(target, level, "rest", (num_masks, num_rest, 2))
        return torch.cat([kept, rest], dim=1)


def _sample(maps, points):
    """Bilinear samples: maps (B, K, h, w) at points (B, P, 2) -> (B, K, P)."""
    return point_sample(maps, points, align_corners=False)


def _sample_valid(target, points):
    """(N, P): 1 where all that a point of (N, P, 2) touches has a class."""
    valid = _sample(target["valid"].expand(len(points), 1, -1, -1), points)[:, 0]
    return (valid > 0.999).float()


def _mean_over_processes(count, like):
    """A count's mean over all processes, so that the mean of their losses is the whole batch's."""
    count = torch.as_tensor(count, dtype=torch.float32, device=like.device)
    if comm.get_world_size() > 1:
        count = count.detach().clone()
        torch.distributed.all_reduce(count)
        count = count / comm.get_world_size()
    return count
