"""Text classifier: words x templates -> classifier weights.

CLIP (arXiv 2103.00020), Sec. 3.1.4, prompt ensembling in embedding space; the learned "none of
these" of SAN (arXiv 2302.12242), Sec. 3.3, as in DETR's no-object class.

C classes, W words (synonyms included, W >= C), D embedding.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from san.errors import UserError

from .text_cache import MAX_WORDS, TextCache, tower_digest
from .text_encoder import TextEncoder

_MAX_CACHED_WORDS = 2 * MAX_WORDS


class TextEmbeddings(NamedTuple):
    """Classifier weights of one vocabulary."""

    embeds: torch.Tensor  # (W, D), or (W + 1, D) with "none of these" in the last row; unit norm
    num_classes: int  # C, "none of these" not counted
    class_of_word: torch.Tensor | None  # (W,) int64; None where every class is one word

    def classes(self, word_logits):
        """Logits of words (..., W[+1]) -> of classes (..., C[+1]): the best synonym counts."""
        if self.class_of_word is None:
            return word_logits
        words = len(self.class_of_word)
        index = self.class_of_word.expand(*word_logits.shape[:-1], -1)
        best = word_logits.new_full((*index.shape[:-1], self.num_classes), float("-inf"))
        best = best.scatter_reduce(-1, index, word_logits[..., :words], "amax")
        return torch.cat([best, word_logits[..., words:]], dim=-1)


class TextClassifier(nn.Module):
    """Embeds vocabularies, each word once.

    Embeddings are float32 whatever autocast says. They are kept in memory by word until a weight of
    the text tower changes or moves to another device, and on disk (`text_cache`) unless the tower
    is trained.

    Args:
        clip: open_clip's ``CLIP``; its text tower is used, not copied.
        tokenizer: list[str] -> (N, context) int64, with ``encode`` and ``context_length``.
        templates (sequence[str]): each with one "{}".
        with_no_object (bool): learn an embedding of "none of these".
    """

    def __init__(self, clip, tokenizer, templates, with_no_object=False):
        super().__init__()
        self.text_encoder = TextEncoder(clip).requires_grad_(False)
        self.logit_scale = clip.logit_scale.requires_grad_(False)  # natural logarithm
        self.tokenizer = tokenizer
        self.templates = tuple(templates)
        embed_dim = clip.text_projection.shape[-1]
        self.no_object_embed = (
            nn.Parameter(torch.randn(1, embed_dim) * embed_dim**-0.5) if with_no_object else None
        )
        self._cache, self._cache_key = {}, None  # templates -> {word: (D,)}, of these weights
        self._digest = ""  # of these weights; "": not computed yet, None: not to be kept on disk
        self._file, self._file_key = None, None  # stamp of the file that they are in

    def forward(self, vocabulary, templates=None):
        """Embed a vocabulary.

        Args:
            vocabulary (sequence[sequence[str]]): for each class, in order, its synonyms.
            templates (sequence[str] | None): each with one "{}"; None: those of the model.

        Returns:
            TextEmbeddings

        Raises:
            UserError: a word too long for the text tower's context.
        """
        words = [word for synonyms in vocabulary for word in synonyms]
        embeds = self.embed_words(words, templates)  # (W, D)
        if self.no_object_embed is not None:
            embeds = torch.cat([embeds, F.normalize(self.no_object_embed.float(), dim=-1)])
        if len(words) == len(vocabulary):
            return TextEmbeddings(embeds, len(words), None)
        sizes = torch.tensor([len(synonyms) for synonyms in vocabulary])
        class_of_word = torch.arange(len(vocabulary)).repeat_interleave(sizes)
        return TextEmbeddings(embeds, len(vocabulary), class_of_word.to(embeds.device))

    @torch.inference_mode(False)  # what is kept must be of use in training, too
    @torch.no_grad()
    def embed_words(self, words, templates=None):
        """words -> (W, D): the normalized mean over templates of normalized embeddings."""
        templates = self.templates if templates is None else tuple(templates)
        known = self._known_words(templates)
        new = [word for word in dict.fromkeys(words) if word not in known]
        if new:
            self.check_length(new, templates)
            with torch.autocast(self.logit_scale.device.type, enabled=False):
                embeds = self._embed_prompts([t.format(w) for w in new for t in templates])
            embeds = embeds.unflatten(0, (len(new), -1)).mean(dim=1)  # (W, templates, D) -> (W, D)
            embeds = F.normalize(embeds, dim=-1)
            known.update(zip(new, embeds, strict=True))
            # Hashed again: weights changed behind PyTorch's back must not be taken for the old ones
            if self._digest and self._digest == tower_digest(self.text_encoder, self.tokenizer):
                TextCache(self._digest, templates).add(new, embeds)
        return torch.stack([known[word] for word in words])

    def _known_words(self, templates):
        """{word: (D,)} of the words embedded before, by this process or by one before it."""
        self._drop_stale_cache()
        if templates not in self._cache:
            if self._digest == "":
                file = self._file if self._file_key == self._cache_key else None
                self._digest = tower_digest(self.text_encoder, self.tokenizer, file)
            device = self.logit_scale.device
            on_disk = TextCache(self._digest, templates).load(device) if self._digest else {}
            self._cache[templates] = on_disk
        return self._cache[templates]

    def _embed_prompts(self, prompts):
        """prompts -> (N, D) float32, unit norm."""
        tokens = self.tokenizer(prompts).to(self.logit_scale.device)
        return F.normalize(self.text_encoder.embed_prompts(tokens).float(), dim=-1)

    def room_for_words(self, templates=None):
        """Tokens that a word may have, so that it fits into the text tower with any prompt."""
        templates = self.templates if templates is None else templates
        longest = max(self.count_tokens(template.format("")) for template in templates)
        return self.tokenizer.context_length - 2 - longest  # without start and end of text

    def count_tokens(self, text):
        """Number of tokens of a text, without start and end."""
        return len(self.tokenizer.encode(text))

    def check_length(self, words, templates=None, origin="vocabulary"):
        """Raise a UserError, which begins with ``origin``, for a word that is too long."""
        room = self.room_for_words(templates)
        for word in words:
            length = self.count_tokens(word)
            if length > room:
                raise UserError(
                    f"{origin}: the word {_shorten(word)!r} has {length} tokens; with its prompt "
                    f"the text tower has room for {room}. Use a shorter name"
                )

    def note_file(self, stamp):
        """Note of which file the text tower has its weights now: see `tower_digest`."""
        self._file, self._file_key = stamp, self._weights_key()

    def _weights_key(self):
        """A parameter's version counts its changes in place; a move gives it new memory."""
        return [(p.data_ptr(), p._version) for p in self.text_encoder.parameters()]

    def _drop_stale_cache(self):
        key = self._weights_key()
        if key != self._cache_key:
            self._cache, self._cache_key, self._digest = {}, key, ""
        if sum(map(len, self._cache.values())) > _MAX_CACHED_WORDS:
            self._cache = {}


def _shorten(word, length=60):
    return word if len(word) <= length else word[: length - 3] + "..."
