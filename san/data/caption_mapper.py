"""Turn one record into one input of CLIP: captioned images in training, images in evaluation.

CLIP (arXiv 2103.00020), Sec. 2.3: a random crop is the only augmentation, and of several captions
one is drawn. As in open_clip, the shape of a crop is from 3:4 to 4:3; an image that is too wide or
too tall for the share of its area that is asked for gives the largest such crop in its middle.

Methods that use CLIP densely show it images of other sizes than its own, for which its position
embedding is resized. A small CLIP bears that only if batches of several sizes have trained it, as
in FlexiViT (arXiv 2212.08013), which varies the patches. Nor does it know a thing that is small in
a large image from one close up alone: training moves and scales its positions (arXiv 2106.03143).
Nor can it read a part of an image: training makes mosaics, whose parts have captions.

S is the image size of CLIP; H, W the size of a training batch.
"""

import copy
import functools

import numpy as np
import torch
from detectron2.config import configurable
from detectron2.utils import comm
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms.functional import resized_crop

from san.errors import UserError
from san.image_io import read_image
from san.modeling.backbone.clip import clip_image_size, clip_patch_size, clip_tokenizer
from san.modeling.mosaic import NUM_TILES

from .dataset_mapper import check_format

BICUBIC = T.InterpolationMode.BICUBIC


class CaptionMapper:
    """Read and crop one training image, and draw one of its captions.

    The random numbers come from torch's global generator.
    """

    @configurable
    def __init__(
        self, *, tokenizer, sizes, crop_area, mirror, batch_size, position_window, mosaic_sizes
    ):
        """
        Args:
            tokenizer (callable): list[str] -> (n, context) int64 tensor.
            sizes (sequence[int]): sides in pixels; each batch draws a height and a width.
            crop_area (tuple[float, float]): smallest and largest share of the image in a crop.
            mirror (bool): half of the images are mirrored.
            batch_size (int): images per iteration, all processes together.
            position_window (tuple[float, float] | tuple[()]): smallest and largest side, as shares
                of CLIP's grid of positions, of the square in it where an image is put; (): the
                whole grid.
            mosaic_sizes (sequence[int]): as ``sizes``, of every other batch, which makes mosaics
                and has no windows; (): there are no mosaics.
        """
        self.tokenizer, self.sizes = tokenizer, tuple(sizes)
        self.crop_area, self.batch_size = crop_area, batch_size
        self.mirror = T.RandomHorizontalFlip(0.5 if mirror else 0.0)
        self.position_window = tuple(position_window)
        self.mosaic_sizes = tuple(mosaic_sizes)

    @classmethod
    def from_config(cls, cfg):
        """Keys CLIP_SIZES_TRAIN, CLIP_MOSAIC_SIZES_TRAIN, CLIP_CROP_AREA, CLIP_POSITION_WINDOW and
        RANDOM_FLIP of INPUT."""
        _check_input_keys(cfg.INPUT)
        patch = clip_patch_size(cfg.MODEL.SAN.CLIP_MODEL_NAME)
        _check_sizes("CLIP_SIZES_TRAIN", cfg.INPUT, patch, "for CLIP's own size")
        _check_sizes("CLIP_MOSAIC_SIZES_TRAIN", cfg.INPUT, patch, "for no mosaics")
        _check_batch_size(cfg)
        return {
            "tokenizer": clip_tokenizer(cfg.MODEL.SAN.CLIP_MODEL_NAME),
            "sizes": list(cfg.INPUT.CLIP_SIZES_TRAIN)
            or [clip_image_size(cfg.MODEL.SAN.CLIP_MODEL_NAME)],
            "crop_area": tuple(cfg.INPUT.CLIP_CROP_AREA),
            "mirror": cfg.INPUT.RANDOM_FLIP == "horizontal",
            "batch_size": cfg.SOLVER.IMS_PER_BATCH,
            "position_window": cfg.INPUT.CLIP_POSITION_WINDOW,
            "mosaic_sizes": cfg.INPUT.CLIP_MOSAIC_SIZES_TRAIN,
        }

    def __call__(self, record):
        """
        Args:
            record (dict): "file_name", "captions" (list[str]), "content" (str or int), and its
                "position" in the training stream.
        Returns:
            dict: "image" (3, H, W) uint8 tensor, RGB, of the size of its batch; "tokens"
                (context,) int64, of the caption; "content"; "file_name"; "mosaic", True, where the
                batch makes mosaics, else, where it is drawn, "position_window" (3,), top, left and
                side, see `window_pos_embed`.
        Raises:
            UserError: the image cannot be read, or has no caption.
        """
        if not record["captions"]:
            raise UserError(f"{record['file_name']}: this image has no caption; leave it out")
        image = Image.fromarray(read_image(record["file_name"]))
        iteration = record["position"] // self.batch_size
        in_mosaic = bool(self.mosaic_sizes) and iteration % 2 == 1
        size = _image_size_of(iteration, self.mosaic_sizes if in_mosaic else self.sizes)
        image = self.mirror(self._crop(image, *size))
        choice = int(torch.randint(len(record["captions"]), ()))
        inputs = {
            "file_name": record["file_name"],
            "image": _to_tensor(image),
            "tokens": self.tokenizer([record["captions"][choice]])[0],
            "content": record["content"],
        }
        if in_mosaic:
            inputs["mosaic"] = True
        elif self.position_window:
            inputs["position_window"] = self._draw_window()
        return inputs

    def _crop(self, image, height, width):
        """A random crop, nearly of the shape of the batch, resized to it."""
        ratio = (3 / 4 * width / height, 4 / 3 * width / height)
        box = T.RandomResizedCrop.get_params(image, self.crop_area, ratio)  # top, left, its size
        return resized_crop(image, *box, (height, width), BICUBIC)

    def _draw_window(self):
        """(3,): a square's top, left and side; sides are drawn evenly on a logarithmic scale."""
        smallest, largest = self.position_window
        draws = torch.rand(3)
        side = smallest * (largest / smallest) ** draws[2:]
        return torch.cat([draws[:2] * (1 - side), side])


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


@functools.lru_cache(maxsize=1)
def _image_size_of(iteration, sizes):
    """(H, W) of the images of one iteration, alike in all processes."""
    return tuple(np.random.RandomState(iteration).choice(sizes, 2).tolist())


def _to_tensor(image):
    """PIL image -> (3, H, W) uint8 tensor."""
    return torch.from_numpy(np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)))


def _check_input_keys(config):
    check_format(config)
    area = list(config.CLIP_CROP_AREA)
    if not _is_range_of_shares(area):
        raise UserError(
            f"INPUT.CLIP_CROP_AREA is {area}; it is the smallest and the largest share of the "
            "image, above 0 and at most 1, e.g. [0.9, 1.0]"
        )
    window = list(config.CLIP_POSITION_WINDOW)
    if window and not _is_range_of_shares(window):
        raise UserError(
            f"INPUT.CLIP_POSITION_WINDOW is {window}; it is the smallest and the largest side as "
            "shares of CLIP's grid, above 0 and at most 1, e.g. [0.35, 1.0], or empty for all of it"
        )
    if config.RANDOM_FLIP not in ("horizontal", "none"):
        raise UserError(
            f"INPUT.RANDOM_FLIP is {config.RANDOM_FLIP!r}; CLIP's training can have 'horizontal' "
            "or 'none'"
        )


def _is_range_of_shares(limits):
    return len(limits) == 2 and 0 < limits[0] <= limits[1] <= 1


def _check_sizes(key, config, patch, when_empty):
    sizes = list(config[key])
    if any(not isinstance(side, int) or side < patch or side % patch for side in sizes):
        raise UserError(
            f"INPUT.{key} is {sizes}; it is a list of sides in pixels, multiples of CLIP's patch "
            f"of {patch}, or empty {when_empty}"
        )


def _check_batch_size(cfg):
    batch_size, unit = cfg.SOLVER.IMS_PER_BATCH, NUM_TILES * comm.get_world_size()
    if cfg.INPUT.CLIP_MOSAIC_SIZES_TRAIN and batch_size % unit:
        raise UserError(
            f"SOLVER.IMS_PER_BATCH is {batch_size}; with INPUT.CLIP_MOSAIC_SIZES_TRAIN it must be "
            f"a multiple of {unit}: {NUM_TILES} images in a mosaic, on each process"
        )
