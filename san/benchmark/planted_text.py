"""Text embeddings for a model with random weights, of which few fit what it sees.

Random weights see no class anywhere: all are as likely, and an inference that leaves out classes
which cannot win would have nothing to leave out. A trained model finds few classes, surely. So some
words get embeddings that fit proposals, and the others random ones. No text tower runs.
"""

import torch
from torch import nn
from torch.nn import functional as F

from san.modeling.text.classifier import TextEmbeddings

WORDS_PRESENT = 12  # that the model finds; images of COCO-Stuff and ADE20K show about as many
_COSINE = 0.6  # of a planted embedding and the proposal it fits
_LOGIT_SCALE = 100.0  # of OpenAI's CLIP
_SEED = 0


class PlantedText(nn.Module):
    """Takes the place of a model's `TextClassifier`.

    Args:
        classifier (TextClassifier): kept for its memory, and its embedding of "none of these".
        targets (Tensor | None): (N, D), unit norm, that words shall fit; None: none does.
    """

    def __init__(self, classifier, targets=None):
        super().__init__()
        self.classifier = classifier
        self.targets = targets
        self.logit_scale = nn.Parameter(torch.tensor(_LOGIT_SCALE).log(), requires_grad=False)
        self.embed_dim = classifier.text_encoder.text_projection.shape[-1]
        self._embeds = {}  # number of words -> (W, D)

    @property
    def templates(self):
        """Those of the model."""
        return self.classifier.templates

    def forward(self, vocabulary, templates=None):
        """TextEmbeddings as `TextClassifier` gives them; synonyms count as classes."""
        num_words = len(vocabulary)
        if num_words not in self._embeds:
            self._embeds[num_words] = self._make(num_words)
        embeds = self._embeds[num_words].to(self.logit_scale.device)
        no_object = self.classifier.no_object_embed
        if no_object is not None:
            embeds = torch.cat([embeds, F.normalize(no_object.float(), dim=-1)])
        return TextEmbeddings(embeds, num_words, None)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _make(self, num_words):
        """(W, D), unit norm; the words that fit are spread evenly over the vocabulary."""
        generator = torch.Generator().manual_seed(_SEED)
        embeds = F.normalize(torch.randn(num_words, self.embed_dim, generator=generator), dim=-1)
        if self.targets is None:
            return embeds
        count = min(WORDS_PRESENT, num_words, len(self.targets))
        rows = torch.linspace(0, num_words - 1, count).long()
        chosen = torch.linspace(0, len(self.targets) - 1, count).long()
        towards = self.targets[chosen].cpu().float()
        embeds[rows] = F.normalize(
            _COSINE * towards + (1 - _COSINE**2) ** 0.5 * embeds[rows], dim=-1
        )
        return embeds
