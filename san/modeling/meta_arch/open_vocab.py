"""What every method shares: images in, vocabularies to classifier weights, results out."""

import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import ImageList
from torch import nn

from san.errors import UserError

from ..text.templates import get_templates
from ..text.vocabulary import Vocabulary, normalize_vocabulary

OUTPUTS = ("sem_seg", "label_map")


class OpenVocabSegmentor(nn.Module):
    """Base of the meta-architectures.

    Args:
        text_classifier (TextClassifier)
        pixel_mean, pixel_std (sequence[float]): RGB, of pixel values 0..255.
        size_divisibility (int): images are padded to a multiple of this, in pixels.
    """

    def __init__(self, *, text_classifier, pixel_mean, pixel_std, size_divisibility):
        super().__init__()
        self.text_classifier = text_classifier
        self.size_divisibility = size_divisibility
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1), False)

    @property
    def device(self):
        """Where the model is."""
        return self.pixel_mean.device

    def full_precision(self):
        """Context in which autocast is off: for cosines, which are multiplied by up to 100, and
        for what is done at every pixel of the output."""
        return torch.autocast(self.device.type, enabled=False)

    def preprocess_image(self, batched_inputs):
        """Normalize, then pad with zeros to the right and below.

        Returns:
            ImageList: tensor (B, 3, H, W) and the sizes before padding.
        """
        images = [x["image"].to(self.device) for x in batched_inputs]
        images = [(image - self.pixel_mean) / self.pixel_std for image in images]
        return ImageList.from_tensors(images, self.size_divisibility)

    def embed_text(self, batched_inputs):
        """TextEmbeddings of each image's vocabulary; one object where images share it."""
        embeddings = {}
        keys = [(self.vocabulary_of(x), self.templates_of(x)) for x in batched_inputs]
        for vocabulary, templates in keys:
            if (vocabulary, templates) not in embeddings:
                embeddings[vocabulary, templates] = self.text_classifier(vocabulary, templates)
        return [embeddings[key] for key in keys]

    @staticmethod
    def vocabulary_of(inputs):
        """The classes of one input, each a tuple of synonyms.

        ``vocabulary`` is checked and split into synonyms, unless it is a `Vocabulary`, which was
        checked when it was made; class names of a registered data set are phrases taken whole, as
        published.
        """
        if isinstance(inputs.get("vocabulary"), Vocabulary):
            return inputs["vocabulary"].classes
        if "vocabulary" in inputs:
            return normalize_vocabulary(inputs["vocabulary"])
        if "dataset_name" not in inputs.get("meta", {}):
            raise UserError(
                "a model input needs 'vocabulary' or meta['dataset_name']: it has neither"
            )
        metadata = MetadataCatalog.get(inputs["meta"]["dataset_name"])
        names = metadata.get("stuff_classes") or metadata.get("thing_classes")
        if not names:
            raise UserError(f"data set {metadata.name!r} has no class names in its metadata")
        return tuple((name.strip(),) for name in names)

    @staticmethod
    def templates_of(inputs):
        """Prompts of one input: its `Vocabulary`'s, else its protocol's; None: the model's own."""
        for source in (inputs.get("vocabulary"), inputs.get("protocol")):
            templates = getattr(source, "templates", None)
            if templates is not None:
                return get_templates(templates) if isinstance(templates, str) else templates
        return None

    @staticmethod
    def background_threshold_of(inputs):
        """Share of "none of these" that wins a pixel of one input, or None.

        It is ``background_threshold`` or, where that is not given, its `Vocabulary`'s.
        """
        default = getattr(inputs.get("vocabulary"), "background_threshold", None)
        return inputs.get("background_threshold", default)

    @staticmethod
    def output_of(inputs):
        """What one input asks for, one of ``OUTPUTS``."""
        output = inputs.get("output", "sem_seg")
        if output not in OUTPUTS:
            raise UserError(f"a model input asks for output {output!r}; there are {OUTPUTS}")
        return output
