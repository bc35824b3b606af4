"""Turn one data set record into one model input, for training and for evaluation.

Training follows the published recipe: a random scale, a random crop, SSD color jitter
(https://arxiv.org/abs/1512.02325, section 2.2), a random flip, padding to one size.

Shapes: H, W the padded crop in training, the resized image in evaluation; N classes present.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.data import transforms as T
from detectron2.projects.point_rend import ColorAugSSDTransform
from detectron2.structures import Instances

from san.errors import UserError
from san.image_io import read_image

from .datasets import load_labels
from .datasets.label_readers import share_of
from .tasks import metadata_of

IMAGE_PADDING = 128  # grey level of the published training, before normalization


class TrainDatasetMapper:
    """Read, augment and pad one training image and its label map.

    The random numbers come from the global generators of ``numpy`` and ``random``, as in all of
    Detectron2's augmentations.
    """

    @configurable
    def __init__(self, *, augmentations, pad_size):
        """
        Args:
            augmentations (list[T.Augmentation | T.Transform]): applied in this order.
            pad_size (int): side of the padded square in pixels; 0 or less: no padding.
        """
        self.augmentations = T.AugmentationList(augmentations)
        self.pad_size = pad_size

    @classmethod
    def from_config(cls, cfg):
        """The published training recipe; raises UserError where keys contradict each other."""
        _check_input_keys(cfg.INPUT)
        return {
            "augmentations": build_train_augmentations(cfg),
            "pad_size": cfg.INPUT.SIZE_DIVISIBILITY,
        }

    def __call__(self, record):
        """
        Args:
            record (dict): "file_name", "sem_seg_file_name", and "meta": {"dataset_name": ...};
                other keys are passed on.
        Returns:
            dict: the record with
                "image": (3, H, W) uint8 tensor, RGB, padded with 128.
                "instances": Instances of size (H, W) with one entry per class present, ignored
                    pixels apart: ``gt_classes`` (N,) int64 ascending, ``gt_masks`` (N, H, W) bool.
                "height", "width": size of the image file, upright.
        Raises:
            UserError: a file cannot be read, the sizes differ, an id has no class, or the
                augmented image is larger than the padded size.
        """
        metadata = metadata_of(record["meta"]["dataset_name"])
        image = read_image(record["file_name"])  # (height, width, 3)
        labels = load_labels(record, metadata)  # (height, width)
        check_labels(record, labels, image.shape[:2], metadata)

        # As double, Detectron2 resizes labels with torch's "nearest", as the published training
        # did; Pillow's, used for uint8, picks pixels half a pixel away.
        augmented = T.AugInput(image, sem_seg=labels.astype(np.float64))
        self.augmentations(augmented)
        padding = self._padding(record, augmented.image.shape[:2])
        pixels = torch.from_numpy(np.ascontiguousarray(augmented.image.transpose(2, 0, 1)))
        labels = torch.from_numpy(augmented.sem_seg.astype(np.int64))
        return {
            **copy.deepcopy(record),
            "image": F.pad(pixels, padding, value=IMAGE_PADDING),  # (3, H, W)
            "instances": labels_to_instances(
                F.pad(labels, padding, value=metadata.ignore_label), metadata.ignore_label
            ),
            "height": image.shape[0],
            "width": image.shape[1],
        }

    def _padding(self, record, size):
        """(left, right, top, bottom) pixels that fill ``size`` up to the padded square."""
        if self.pad_size <= 0:
            return (0, 0, 0, 0)
        height, width = size
        if max(height, width) > self.pad_size:
            raise UserError(
                f"{record['file_name']}: {height} x {width} pixels after augmentation do not fit "
                f"INPUT.SIZE_DIVISIBILITY {self.pad_size}; set INPUT.CROP.ENABLED True with an "
                "INPUT.CROP.SIZE of at most that, or raise INPUT.SIZE_DIVISIBILITY"
            )
        return (0, self.pad_size - width, 0, self.pad_size - height)


class TestDatasetMapper:
    """Read and resize one image for evaluation; its label map is left to the evaluator."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    @configurable
    def __init__(self, *, augmentations, protocol=None, vocabulary=None):
        """
        Args:
            augmentations (list[T.Augmentation]): deterministic, usually one resize.
            protocol (Protocol | None), vocabulary (Vocabulary | None): passed on to the model.
        """
        self.augmentations = T.AugmentationList(augmentations)
        settings = {"protocol": protocol, "vocabulary": vocabulary}
        self.settings = {key: value for key, value in settings.items() if value is not None}

    @classmethod
    def from_config(cls, cfg, protocol=None, vocabulary=None):
        """Resize the shorter side to the minimal size, the longer to at most the maximal one.

        The sizes are those of the protocol; without one, INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST.
        """
        check_format(cfg.INPUT)
        sizes = cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST
        if protocol is not None:
            sizes = protocol.min_size, protocol.max_size
        return {
            "augmentations": [T.ResizeShortestEdge(*sizes)],
            "protocol": protocol,
            "vocabulary": vocabulary,
        }

    def __call__(self, record):
        """
        Args:
            record (dict): "file_name" and "meta"; other keys are passed on.
        Returns:
            dict: the record with
                "image": (3, H, W) uint8 tensor, RGB.
                "height", "width": size of the image file, upright: the size of the output.
                "output": "label_map", so that the model forms no score volume.
                "protocol", "vocabulary": where there is one.
        Raises:
            UserError: the image cannot be read.
        """
        image = read_image(record["file_name"])  # (height, width, 3)
        augmented = T.AugInput(image)
        self.augmentations(augmented)
        pixels = np.ascontiguousarray(augmented.image.transpose(2, 0, 1))
        return {
            **copy.deepcopy(record),
            **self.settings,
            "image": torch.from_numpy(pixels),  # (3, H, W)
            "height": image.shape[0],
            "width": image.shape[1],
            "output": "label_map",
        }


def build_train_augmentations(cfg):
    """Augmentations of the published recipe, in its order."""
    augmentations = [
        T.ResizeShortestEdge(
            cfg.INPUT.MIN_SIZE_TRAIN,
            cfg.INPUT.MAX_SIZE_TRAIN,
            cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING,
        )
    ]
    if cfg.INPUT.CROP.ENABLED:
        augmentations.append(
            T.RandomCrop_CategoryAreaConstraint(
                cfg.INPUT.CROP.TYPE,
                cfg.INPUT.CROP.SIZE,
                cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA,
                cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
            )
        )
    if cfg.INPUT.COLOR_AUG_SSD:
        augmentations.append(ColorAugSSDTransform(img_format="RGB"))
    return [*augmentations, T.RandomFlip()]


def labels_to_instances(labels, ignore_label):
    """Split a label map into one mask per class.

    Args:
        labels: (H, W) int64 tensor.
        ignore_label (int): id that gets no mask.
    Returns:
        Instances with ``gt_classes`` (N,) int64 ascending and ``gt_masks`` (N, H, W) bool.
    """
    classes = labels.flatten().bincount().nonzero()[:, 0]  # much faster than unique()
    classes = classes[classes != ignore_label]  # (N,)
    instances = Instances(tuple(labels.shape))
    instances.gt_classes = classes
    instances.gt_masks = labels == classes[:, None, None]  # (N, H, W)
    return instances


def check_labels(record, labels, image_size, metadata):
    """Raise UserError unless a label map fits its image and its data set.

    Args:
        record (dict): names the files, for the message.
        labels: (H, W) integer array.
        image_size (tuple[int, int]): (H, W) of the image.
        metadata: ``name``, ``stuff_classes`` and ``ignore_label`` of the data set.
    """
    file_name, num_classes = record["sem_seg_file_name"], len(metadata.stuff_classes)
    if labels.shape != tuple(image_size):
        raise UserError(
            f"{file_name}: this label map has {labels.shape[0]} x {labels.shape[1]} pixels, but "
            f"its image {record['file_name']} has {image_size[0]} x {image_size[1]} (height x "
            "width, EXIF orientation applied); make the label map anew from this image"
        )
    unknown = (labels < 0) | ((labels >= num_classes) & (labels != metadata.ignore_label))
    if unknown.any():
        raise UserError(
            f"{file_name}: unknown class id {share_of(labels, unknown)} in the label map; "
            f"data set '{metadata.name}' has the ids 0 to {num_classes - 1}, and "
            f"{metadata.ignore_label} for pixels to ignore; prepare the label map as "
            "datasets/README.md says"
        )


def check_format(config):
    """Raise UserError unless the INPUT section asks for RGB."""
    if config.FORMAT != "RGB":
        raise UserError(
            f"INPUT.FORMAT is '{config.FORMAT}', but the models take RGB; set it to RGB"
        )


def _check_input_keys(config):
    """Refuse values of the INPUT section that the training recipe cannot honor."""
    check_format(config)
    crop, pad_size = config.CROP, config.SIZE_DIVISIBILITY
    crops_pixels = crop.ENABLED and crop.TYPE in ("absolute", "absolute_range")
    if crops_pixels and 0 < pad_size < max(crop.SIZE):
        raise UserError(
            f"INPUT.CROP.SIZE {tuple(crop.SIZE)} is larger than INPUT.SIZE_DIVISIBILITY "
            f"{pad_size}, to which every crop is padded; lower the first or raise the second"
        )
