"""Hungarian matching of proposals and targets.

DETR (arXiv 2005.12872), Sec. 3.1, with the mask costs of Mask2Former (arXiv 2112.01527), Sec. 3.3:
all masks of an image are compared at the same random points.

Q queries, N targets, P points.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F


@torch.no_grad()
def matching_costs(class_logits, mask_points, classes, target_points, weights, valid=None):
    """Cost of every pair of one image.

    Args:
        class_logits (Tensor): (Q, C + 1).
        mask_points (Tensor): (Q, P), mask logits at the points.
        classes (Tensor): (N,), target classes.
        target_points (Tensor): (N, P), target masks at the points, 0..1.
        weights (dict[str, float]): of "loss_ce", "loss_mask" and "loss_dice".
        valid (Tensor | None): (P,), 1 where a point counts, 0 where it is ignored.

    Returns:
        Tensor: (Q, N).
    """
    valid = mask_points.new_ones(mask_points.shape[1]) if valid is None else valid
    class_cost = -class_logits.softmax(dim=-1)[:, classes]  # (Q, N)
    targets = target_points * valid
    # sum of t * softplus(-x) + (1 - t) * softplus(x) over points; softplus(-x) = softplus(x) - x
    mask_cost = (F.softplus(mask_points) @ valid)[:, None] - mask_points @ targets.T
    mask_cost = mask_cost / valid.sum().clamp_min(1)
    probs = mask_points.sigmoid() * valid
    overlap = 2 * probs @ targets.T
    dice_cost = 1 - (overlap + 1) / (probs.sum(1)[:, None] + targets.sum(1)[None] + 1)
    return (
        weights["loss_ce"] * class_cost
        + weights["loss_mask"] * mask_cost
        + weights["loss_dice"] * dice_cost
    )


def assign(costs):
    """Cheapest one-to-one assignments.

    Args:
        costs (list[Tensor]): (Q, N) each, of any device; they travel to the CPU together.

    Returns:
        list[tuple[Tensor, Tensor]]: query and target indices (int64, CPU), as many as min(Q, N).
    """
    sizes = [cost.numel() for cost in costs]
    flat = torch.cat([cost.flatten() for cost in costs]).cpu()
    # Broken numbers must reach the loss, which stops the training and names the iteration
    flat = torch.nan_to_num(flat, nan=1e6, posinf=1e6, neginf=-1e6)
    matches = []
    for cost, values in zip(costs, flat.split(sizes), strict=True):
        queries, targets = linear_sum_assignment(values.view(cost.shape).numpy())
        matches.append((torch.as_tensor(queries), torch.as_tensor(targets)))
    return matches
