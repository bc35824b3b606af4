"""Turn one record into one input of CLIP: captioned images in training, images in evaluation.

CLIP (arXiv 2103.00020), Sec. 2.3: a random crop is the only augmentation, and of several captions
one is drawn. As in open_clip, the shape of a crop is from 3:4 to 4:3; an image that is too wide or
too tall for the share of its area that is asked for gives the largest such crop in its middle.

S is the image size of CLIP.
"""

import copy

import numpy as np
import torch
from detectron2.config import configurable
from PIL import Image
from torchvision import transforms as T

from san.errors import UserError
from san.image_io import read_image
from san.modeling.backbone.clip import clip_image_size

from .dataset_mapper import check_format

BICUBIC = T.InterpolationMode.BICUBIC


class CaptionMapper:
    """Read and crop one training image, and draw one of its captions.

    The random numbers come from torch's global generator.
    """

    @configurable
    def __init__(self, *, augmentation):
        """
        Args:
            augmentation (callable): PIL image -> PIL image of S x S pixels.
        """
        self.augmentation = augmentation

    @classmethod
    def from_config(cls, cfg):
        """Crop INPUT.CLIP_CROP_AREA of the image, bicubic; INPUT.RANDOM_FLIP mirrors it."""
        _check_input_keys(cfg.INPUT)
        size = clip_image_size(cfg.MODEL.SAN.CLIP_MODEL_NAME)
        crop = T.RandomResizedCrop(size, tuple(cfg.INPUT.CLIP_CROP_AREA), interpolation=BICUBIC)
        flips = [T.RandomHorizontalFlip()] if cfg.INPUT.RANDOM_FLIP == "horizontal" else []
        return {"augmentation": T.Compose([crop, *flips])}

    def __call__(self, record):
        """
        Args:
            record (dict): "file_name", "captions" (list[str]) and "content" (str or int).
        Returns:
            dict: "image" (3, S, S) uint8 tensor, RGB; "caption" (str); "content"; "file_name".
        Raises:
            UserError: the image cannot be read, or has no caption.
        """
        if not record["captions"]:
            raise UserError(f"{record['file_name']}: this image has no caption; leave it out")
        image = self.augmentation(Image.fromarray(read_image(record["file_name"])))
        choice = int(torch.randint(len(record["captions"]), ()))
        return {
            "file_name": record["file_name"],
            "image": _to_tensor(image),
            "caption": record["captions"][choice],
            "content": record["content"],
        }


class ClipTestMapper:
    """Read one image for evaluation: shorter side to S, bicubic, then the square in the middle."""

    @configurable
    def __init__(self, *, image_size, output):
        """
        Args:
            image_size (int): S.
            output (str): what the model is asked for, "class_logits" or "embeddings".
        """
        self.transform = T.Compose([T.Resize(image_size, BICUBIC), T.CenterCrop(image_size)])
        self.output = output

    @classmethod
    def from_config(cls, cfg, output):
        """CLIP's own image size, by MODEL.SAN.CLIP_MODEL_NAME."""
        check_format(cfg.INPUT)
        return {"image_size": clip_image_size(cfg.MODEL.SAN.CLIP_MODEL_NAME), "output": output}

    def __call__(self, record):
        """
        Args:
            record (dict): "file_name"; other keys are passed on.
        Returns:
            dict: the record with "image" (3, S, S) uint8 tensor, RGB, and "output".
        Raises:
            UserError: the image cannot be read.
        """
        image = self.transform(Image.fromarray(read_image(record["file_name"])))
        return {**copy.deepcopy(record), "image": _to_tensor(image), "output": self.output}


def _to_tensor(image):
    """PIL image -> (3, H, W) uint8 tensor."""
    return torch.from_numpy(np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)))


def _check_input_keys(config):
    check_format(config)
    area = list(config.CLIP_CROP_AREA)
    if len(area) != 2 or not 0 < area[0] <= area[1] <= 1:
        raise UserError(
            f"INPUT.CLIP_CROP_AREA is {area}; it is the smallest and the largest share of the "
            "image, above 0 and at most 1, e.g. [0.9, 1.0]"
        )
    if config.RANDOM_FLIP not in ("horizontal", "none"):
        raise UserError(
            f"INPUT.RANDOM_FLIP is {config.RANDOM_FLIP!r}; CLIP's training can have 'horizontal' "
            "or 'none'"
        )
