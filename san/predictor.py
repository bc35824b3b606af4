"""One image and a vocabulary -> a label map, for use from Python."""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from detectron2.data.transforms import ResizeShortestEdge, ResizeTransform
from detectron2.modeling import build_model

from san.checkpoint import load_weights, name_of_weights
from san.config import load_config
from san.errors import UserError
from san.files import atomic_path
from san.image_io import read_image, write_labels
from san.modeling.precision import compute_in
from san.modeling.text.vocabulary import Vocabulary, check_background_threshold, check_ids
from san.visualize import draw_comparison, draw_overlay
from san.weights import MODELS

_SEED = 0  # of the random weights of a model that has no trained ones


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One segmented image.

    Attributes:
        image: (H,W,3) uint8 RGB, as it was read.
        vocabulary: the `Vocabulary` that was asked for.
        label_map: (H,W) int32, position in the vocabulary; -1 for none.
        scores: (H,W) float32, score of the chosen class.
    """

    image: np.ndarray
    vocabulary: Vocabulary
    label_map: np.ndarray
    scores: np.ndarray

    @property
    def names(self):
        """Name of each class of the vocabulary, in its order."""
        return self.vocabulary.names

    @property
    def colors(self):
        """(C,3) uint8 sRGB, one per class."""
        return self.vocabulary.colors

    def areas(self):
        """{name: number of pixels} of the classes present, largest first."""
        labels, counts = np.unique(self.label_map[self.label_map >= 0], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {self.names[labels[i]]: int(counts[i]) for i in order}

    def overlay(self, alpha=0.5):
        """Draw the classes over the image, with names and a legend -> PIL image.

        ``alpha`` is the share of the class color, 0..1. The size is that of a view: see
        `san.visualize.draw_overlay`.
        """
        return draw_overlay(self.image, self.label_map, self.names, self.colors, alpha)

    @property
    def id_map(self):
        """(H,W) int64, the vocabulary's id of each pixel; -1 for none."""
        return np.array([*self.vocabulary.ids, -1])[self.label_map]  # index -1 is the last

    def save(self, stem, with_ids=False):
        """Write ``stem``.overlay.jpg and ``stem``.labels.png; each appears whole or not at all.

        The labels are 16 bit: position in the vocabulary or, ``with_ids``, its id; 65535 for none.

        Returns:
            tuple of two Path: overlay, labels.

        Raises:
            UserError: a file cannot be written, or an id is above 65534.
        """
        if with_ids:
            check_ids(self.vocabulary)
        overlay, labels = Path(f"{stem}.overlay.jpg"), Path(f"{stem}.labels.png")
        with atomic_path(overlay) as temporary:
            self.overlay().save(temporary, format="JPEG", quality=92)
        write_labels(labels, self.id_map if with_ids else self.label_map)
        return overlay, labels

    def save_comparison(self, stem, truth, miou=None):
        """Write ``stem``.comparison.jpg: image, truth and labels side by side -> its Path.

        Args:
            truth: (H,W) int, position in the vocabulary, -1 where unlabeled.
            miou: in percent, for the title; None: not shown.

        Raises:
            UserError: the file cannot be written.
        """
        path = Path(f"{stem}.comparison.jpg")
        title = "prediction" if miou is None else f"prediction, mIoU {miou:.1f} %"
        picture = draw_comparison(self.image, truth, self.label_map, self.names, self.colors, title)
        with atomic_path(path) as temporary:
            picture.save(temporary, format="JPEG", quality=92)
        return path


class Segmenter:
    """A model that segments any image by any vocabulary.

    Args:
        model: an open-vocabulary model of this package; it is put into evaluation mode.
        min_size, max_size: images are resized to this shorter side, in pixels, unless the longer
            side would exceed ``max_size``.
        source: {"config", "weights"}: where the model came from; weights None: untrained.

    Several threads may use one segmenter: they read images at once and run the model in turn.
    """

    def __init__(self, model, min_size, max_size, source):
        self.model = model.eval()
        self.min_size, self.max_size = min_size, max_size
        self.source = source
        self._lock = threading.Lock()

    @classmethod
    def from_pretrained(cls, name="san_tiny", device=None, config_file=None, opts=()):
        """Build a published model by name, or any model from a file of weights.

        Args:
            name: one of `san.weights.MODELS`, with san:// before it or not; or the path or URL of
                weights, with ``config_file``.
            device: "cpu", "cuda", "cuda:1" ...; None: CUDA where there is one.
            config_file: config of the weights; by default that of the named model.
            opts: KEY VALUE pairs over the config.

        Raises:
            UserError: an unknown name, config or device, or weights that do not fit.
        """
        known = str(name).removeprefix("san://")
        if known in MODELS:
            config_file = config_file or MODELS[known].config
            return cls.from_config(config_file, f"san://{known}", opts, device)
        if config_file is None:
            raise UserError(
                f"{str(name)!r} is none of the published models ({', '.join(MODELS)}): "
                "for weights of your own, give their config file too"
            )
        return cls.from_config(config_file, name, opts, device)

    @classmethod
    def from_config(cls, config_file, weights=None, opts=(), device=None):
        """Build a model from a config file.

        Args:
            config_file: path, or name below ``configs/``.
            weights: path, URL or ``san://NAME``; None: MODEL.WEIGHTS of the config and ``opts``.
            opts: KEY VALUE pairs over the config.
            device: as in `from_pretrained`; MODEL.DEVICE in ``opts`` counts where it is None.

        A model without weights gets random ones, always the same (see `trained`).

        Raises:
            UserError: see `from_pretrained`.
        """
        cfg = load_config(config_file, opts)
        if weights is not None:
            cfg.MODEL.WEIGHTS = str(weights)
        if device is None and "MODEL.DEVICE" in opts:
            device = cfg.MODEL.DEVICE
        cfg.MODEL.DEVICE = str(_find_device(device))
        with torch.random.fork_rng():
            torch.manual_seed(_SEED)
            model = build_model(cfg)
        if cfg.MODEL.WEIGHTS:
            load_weights(model, cfg.MODEL.WEIGHTS)
        compute_in(model, cfg.TEST.DTYPE)
        source = {"config": str(config_file), "weights": name_of_weights(cfg, model) or None}
        return cls(model, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, source)

    @property
    def trained(self):
        """Whether the model has weights from a file; if not, its labels mean nothing."""
        return self.source["weights"] is not None

    @property
    def device(self):
        """torch.device that the model runs on."""
        return self.model.device

    def prepare(self, vocabulary):
        """Embed the words of a vocabulary now, so that its errors come before the first image.

        Args and errors are those of a call; a word too long for the model is among them.
        """
        vocabulary = as_vocabulary(vocabulary)
        with self._lock, torch.inference_mode():
            self.model.embed_text([{"vocabulary": vocabulary}])

    def __call__(self, image, vocabulary, background_threshold=None):
        """Segment one image.

        Args:
            image: path, PIL image, or (H,W,3) RGB or (H,W) grey array of uint8; see
                `san.image_io.read_image`.
            vocabulary: list of words ("sofa|couch" is one class), a `Vocabulary`, or the path of a
                vocabulary file.
            background_threshold: share of "none of these", 0..1, from which a pixel is given to no
                class; None: that of the vocabulary.

        Returns:
            Segmentation, at the image's own size.

        Raises:
            UserError: an image, vocabulary or threshold that cannot be used.
        """
        vocabulary = as_vocabulary(vocabulary)
        threshold = check_background_threshold(background_threshold)
        pixels = read_image(image)
        inputs = {
            "image": self._resize(pixels),
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "vocabulary": vocabulary,
            "output": "label_map",
        }
        if threshold is not None:
            inputs["background_threshold"] = threshold
        with self._lock, torch.inference_mode():
            (output,) = self.model([inputs])
            label_map, scores = (output[key].cpu().numpy() for key in ("label_map", "scores"))
        return Segmentation(pixels, vocabulary, label_map, scores.astype(np.float32, copy=False))

    def _resize(self, pixels):
        """Resize (H,W,3) as in evaluation -> (3,h,w) uint8 tensor."""
        height, width = pixels.shape[:2]
        size = ResizeShortestEdge.get_output_shape(height, width, self.min_size, self.max_size)
        size = [max(1, side) for side in size]  # a thin strip may round to nothing
        resized = ResizeTransform(height, width, *size).apply_image(pixels)
        return torch.from_numpy(np.array(resized.transpose(2, 0, 1)))


def as_vocabulary(vocabulary):
    """Make a `Vocabulary` of a list of words, the path of a vocabulary file, or a Vocabulary."""
    if isinstance(vocabulary, Vocabulary):
        return vocabulary
    if isinstance(vocabulary, (str, Path)):
        return Vocabulary.from_file(vocabulary)
    return Vocabulary.from_words(vocabulary)


def _find_device(device):
    """torch.device of a name; None: CUDA where there is one, else the CPU."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device {device!r} cannot be used ({reason}): try 'cpu'") from None
    return found
