"""Boundary IoU: the IoU of thin bands along the outlines (arXiv 2103.16562, Eq. 2).

For masks G and P of one class, with G_d and P_d the pixels within distance d of their contours:

    Boundary IoU = |(G_d & G) & (P_d & P)| / |(G_d & G) | (P_d & P)|

A pixel of a mask is in its band if the square of side 2 d + 1 around it leaves the mask or the
image. All classes are treated at once: such a square leaves the pixel's class exactly where the
smallest and the largest label in it differ. d is 2 % of the image's diagonal, as published.
"""

import cv2
import numpy as np

DILATION_RATIO = 0.02


def boundary_distance(size):
    """d in pixels, 1 or more, of an image of ``size`` (H, W)."""
    return max(1, round(DILATION_RATIO * float(np.hypot(*size))))


def boundary(labels, distance):
    """The pixels in the band of their own class.

    Args:
        labels (ndarray): (H, W) int, 0 .. 65534.
        distance (int): d in pixels.

    Returns:
        ndarray: (H, W) bool.
    """
    shifted = labels.astype(np.uint16) + np.uint16(1)  # 0 is left for what is outside the image
    kernel = np.ones((2 * distance + 1,) * 2, np.uint8)
    edge = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    smallest = cv2.erode(shifted, kernel, **edge)
    return (smallest != shifted) | (cv2.dilate(shifted, kernel, **edge) != shifted)


def boundary_counts(predicted, target, num_classes):
    """Pixel counts of the bands of an image's classes.

    Args:
        predicted, target (ndarray): (H, W) int, 0 .. C; C: none, ignored. Ignored pixels are in no
            band, and what is predicted for them does not matter.

    Returns:
        ndarray: (3, C) int64: in both bands, in the target's, in the prediction's.
    """
    ignored = target == num_classes
    predicted = np.where(ignored, num_classes, predicted)
    distance = boundary_distance(target.shape)
    in_target, in_predicted = boundary(target, distance), boundary(predicted, distance)
    in_both = in_target & in_predicted & (target == predicted)
    bands = (target[in_both], target[in_target], predicted[in_predicted])
    return np.stack([np.bincount(b, minlength=num_classes + 1)[:num_classes] for b in bands])


def boundary_iou(counts, present):
    """Boundary IoU of each class.

    Args:
        counts (ndarray): (3, C) sums of `boundary_counts`.
        present (ndarray): (C,) bool, whether the ground truth shows the class.

    Returns:
        ndarray: (C,) float in percent, NaN for a class not shown.
    """
    both, target, predicted = counts.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(present, 100 * both / (target + predicted - both), np.nan)
