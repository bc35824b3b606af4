"""One run of each measure; stages that no part of the model is are told to the clock here."""

import contextlib
import copy
import os
import tempfile

import torch
from detectron2.data.transforms import ResizeTransform

from san.image_io import read_image, write_labels
from san.modeling.precision import compute_in
from san.modeling.text.text_cache import SWITCH
from san.modeling.text.vocabulary import Vocabulary
from san.predictor import Segmentation
from san.solver import build_optimizer

from .samples import training_inputs

IMAGE = "image.jpg"  # in the folder of a run


class Inference:
    """A batch of images to label maps, or to the scores of all classes.

    Args:
        model: in evaluation mode.
        setting (Setting): "inference" or "scores".
        words (list[str])
        folder (Path): with IMAGE; what is written goes there.
    """

    def __init__(self, model, setting, words, folder):
        self.model, self.setting, self.folder = model.eval(), setting, folder
        compute_in(model, setting.dtype)
        self.vocabulary = Vocabulary.from_words([(word,) for word in words])
        self.output = "label_map" if setting.measure == "inference" else "sem_seg"
        self.image = self.read()

    def read(self):
        """The image file, as the predictor reads it -> (3, H, W) uint8 tensor."""
        self.pixels = read_image(self.folder / IMAGE)
        resize = ResizeTransform(*self.pixels.shape[:2], *self.setting.image_size)
        resized = resize.apply_image(self.pixels).transpose(2, 0, 1)
        return torch.from_numpy(resized.copy())

    def run(self):
        """The model alone, the images decoded already -> list[dict], its outputs."""
        height, width = self.setting.source_size
        inputs = {"image": self.image, "height": height, "width": width, "output": self.output}
        inputs["vocabulary"] = self.vocabulary
        return self.model([dict(inputs) for _ in range(self.setting.batch_size)])

    def around(self, clock, output):
        """What comes before and after the model, of one image, on the clock."""
        with clock.stage("decode and resize", host=True):
            self.read()
        if self.output != "label_map":
            return
        with clock.stage("copy to host", host=True):
            labels, scores = (output[key].cpu() for key in ("label_map", "scores"))
            labels, scores = labels.numpy(), scores.float().numpy()
        with clock.stage("write labels", host=True):
            write_labels(self.folder / "labels.png", labels)
        with clock.stage("write overlay", host=True):
            overlay = Segmentation(self.pixels, self.vocabulary, labels, scores).overlay()
            overlay.save(self.folder / "overlay.jpg", quality=92)


class Training:
    """One step: forward, backward, optimizer, as the trainer does it.

    Args:
        model, setting (Setting), words (list[str])
        cfg: of the optimizer.
        recorder (Recorder): told of the stages that no module is.
    """

    def __init__(self, model, setting, words, cfg, recorder):
        self.model, self.setting, self.recorder = model.train(), setting, recorder
        self.optimizer = build_optimizer(cfg, model)
        self.inputs = training_inputs(setting.image_size, setting.batch_size, words)

    def run(self):
        """One step."""
        with precision(self.setting):
            losses = sum(self.model(self.inputs).values())
        with self.recorder.stage("backward"):
            self.optimizer.zero_grad()
            losses.backward()
        with self.recorder.stage("optimizer"):
            self.optimizer.step()


class Text:
    """Words to embeddings: by the text tower, then from the disk as a later process has them.

    Args:
        classifier (TextClassifier)
        words (list[str])
    """

    def __init__(self, classifier, words):
        self.classifier, self.words = classifier, words

    def run(self, clock):
        """Once, on the clock."""
        with tempfile.TemporaryDirectory() as cache, _environment(SAN_CACHE=cache, **{SWITCH: "1"}):
            for name in ("text tower", "from disk"):
                classifier = copy.deepcopy(self.classifier)  # it has no words in memory
                with clock.stage(name):
                    classifier.embed_words(self.words)


def precision(setting):
    """Context in which a model is trained in the setting's dtype."""
    dtype = getattr(torch, setting.dtype)
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(setting.device).type, dtype)


@contextlib.contextmanager
def _environment(**variables):
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    yield
    for key, value in before.items():
        if value is None:
            del os.environ[key]
        else:
            os.environ[key] = value
