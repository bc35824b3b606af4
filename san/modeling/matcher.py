"""Hungarian matching of proposals and targets.

DETR (arXiv 2005.12872), Sec. 3.1, with the mask costs of Mask2Former (arXiv 2112.01527), Sec. 3.3:
all masks of an image are compared at the same random points.

T supervised levels, B images, Q queries, N most targets of an image, P points, K matched pairs.
"""

import numpy as np
import torch
from torch.nn import functional as F


@torch.no_grad()
def matching_costs(class_logits, mask_points, classes, target_points, weights, valid=None):
    """Cost of every pair, for images and levels side by side.

    Args:
        class_logits (Tensor): (..., Q, C + 1).
        mask_points (Tensor): (..., Q, P), mask logits at the points.
        classes (Tensor): (..., N), target classes.
        target_points (Tensor): (..., N, P), target masks at the points, 0..1.
        weights (dict[str, float]): of "loss_ce", "loss_mask" and "loss_dice".
        valid (Tensor | None): (..., P), 1 where a point counts, 0 where it is ignored.

    Returns:
        Tensor: (..., Q, N).
    """
    num_valid = mask_points.shape[-1]
    if valid is not None:
        num_valid = valid.sum(-1)[..., None, None].clamp_min(1)
        valid = valid.unsqueeze(-2)  # (..., 1, P)
        target_points = target_points * valid
    probs = class_logits.softmax(dim=-1)
    index = classes.unsqueeze(-2).expand(*probs.shape[:-1], -1)  # (..., Q, N)
    class_cost = -probs.gather(-1, index)
    targets = target_points.mT  # (..., P, N)
    # sum of t * softplus(-x) + (1 - t) * softplus(x) over points; softplus(-x) = softplus(x) - x
    negative, probs = F.softplus(mask_points), mask_points.sigmoid()  # (..., Q, P)
    if valid is not None:
        negative, probs = negative * valid, probs * valid
    mask_cost = (negative.sum(-1, keepdim=True) - mask_points @ targets) / num_valid
    overlap = 2 * (probs @ targets)
    areas = probs.sum(-1, keepdim=True) + targets.sum(-2, keepdim=True)
    dice_cost = 1 - (overlap + 1) / (areas + 1)
    return (
        weights["loss_ce"] * class_cost
        + weights["loss_mask"] * mask_cost
        + weights["loss_dice"] * dice_cost
    )


def assign(costs, counts):
    """Cheapest one-to-one assignments; each image has min(Q, number of its targets) pairs.

    Args:
        costs (Tensor): (T, B, Q, N) of any device; it travels to the CPU once.
        counts (list[int]): targets of each image; what stands behind them is not looked at.

    Returns:
        Tensor: (4, K) int64 on the CPU: level, image, query, and target among those of the image,
        in this order.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and for training alone

    # Broken numbers must reach the loss, which stops the training and names the iteration
    values = torch.nan_to_num(costs.cpu(), nan=1e6, posinf=1e6, neginf=-1e6).numpy()
    pairs = []
    for level, image in np.ndindex(values.shape[:2]):
        queries, targets = linear_sum_assignment(values[level, image, :, : counts[image]])
        place = np.broadcast_to([[level], [image]], (2, len(queries)))
        pairs.append(np.concatenate([place, [queries, targets]]))
    return torch.from_numpy(np.concatenate(pairs, axis=1))
