"""What is probably a mistake in a vocabulary, though a model would take it.

C classes, W words (synonyms included), D embedding.
"""

import re
from typing import NamedTuple

MANY_WORDS = 8  # in one phrase; captions have them, names of things hardly
_ROWS = 1024  # of the similarity matrix that are in memory at once


class Finding(NamedTuple):
    """One probable mistake."""

    kind: str  # "duplicate", "hidden", "long" or "similar"
    message: str


class Word(NamedTuple):
    """One phrase of a vocabulary."""

    text: str
    position: int  # of its class, from 1
    name: str  # of its class
    is_name: bool  # not one of the further synonyms

    def __str__(self):
        owner = "" if self.is_name else f" {self.name!r}"
        return f"{self.text!r} (class {self.position}{owner})"


def list_words(classes):
    """All words of a vocabulary, in order: classes, each with its synonyms -> list of Word."""
    return [
        Word(text, position, synonyms[0], index == 0)
        for position, synonyms in enumerate(classes, start=1)
        for index, text in enumerate(synonyms)
    ]


def find_clashes(words):
    """Words that stand twice, or that a word of another class hides.

    A pixel goes to one class: of two classes with the same word, one never wins. Upper case,
    spaces, hyphens and a plural "s" make no other word. Nor does a class win what is in the synonym
    of another: "shirt" beside "person|person in shirt".

    Args:
        words (list[Word])

    Returns:
        list of Finding: "duplicate" or "hidden".
    """
    findings, first = [], {}
    for word in words:
        other = first.setdefault(_fold(word.text), word)
        if other is word:
            continue
        same = other.text.casefold() == word.text.casefold()
        if same and (other.is_name == word.is_name or other.position == word.position):
            findings.append(Finding("duplicate", f"{word} stands before: {other}"))
        elif other.position != word.position:
            findings.append(Finding("hidden", f"{word} and {other} are one word"))
    return findings + _find_parts(words)


def _find_parts(words):
    """Words that are a part of a synonym of another class."""
    by_tokens = {}
    for word in words:
        by_tokens.setdefault(_tokens(word.text), word)
    findings = []
    for synonym in words:
        if synonym.is_name:
            continue
        for part in _parts(_tokens(synonym.text)):
            word = by_tokens.get(part)
            if word is not None and word.position != synonym.position:
                findings.append(Finding("hidden", f"{word} is a part of {synonym}"))
    return findings


def _fold(text):
    """What two spellings of one word share: "trafficlight", "Traffic-lights"."""
    folded = re.sub(r"[\W_]+", "", text.casefold())
    return folded[:-1] if len(folded) > 3 and re.search("[^s]s$", folded) else folded


def _tokens(text):
    return tuple(re.findall(r"\w+", text.casefold()))


def _parts(tokens):
    """All shorter runs of a tuple of words."""
    count = len(tokens)
    return [
        tokens[start:end]
        for start in range(count)
        for end in range(start + 1, count + 1)
        if end - start < count
    ]


def find_long(words, room=None, count_tokens=None):
    """Phrases too long for the text tower, of many words, or of several names in a row.

    Args:
        words (list[Word])
        room (int | None): tokens that the text tower has for a word; None: unknown.
        count_tokens (callable): text -> number of its tokens.

    Returns:
        list of Finding: "long".
    """
    findings = []
    for word in words:
        tokens = count_tokens(word.text) if room is not None else 0
        num_words = len(word.text.split())
        if room is not None and tokens > room:
            problem = f"has {tokens} tokens; the text tower has room for {room}"
        elif "," in word.text:
            problem = "is one phrase with a comma: write its names as synonyms, with | between them"
        elif num_words > MANY_WORDS:
            problem = f"has {num_words} words: a name is short"
        else:
            continue
        findings.append(Finding("long", f"{word} {problem}"))
    return findings


def find_similar(words, embeds, threshold):
    """Words of different classes whose text embeddings hardly differ, the most similar first.

    Args:
        words (list[Word])
        embeds (Tensor): (W, D), unit norm.
        threshold (float): cosine from which words count as the same.

    Returns:
        list of Finding: "similar"; words that :func:`find_clashes` calls the same are not among
        them.
    """
    pairs = []
    for start in range(0, len(words), _ROWS):
        cosines = embeds[start : start + _ROWS] @ embeds.T  # (rows, W)
        for row, column in (cosines >= threshold).nonzero().tolist():
            one, other = words[start + row], words[column]
            same = one.position == other.position or _fold(one.text) == _fold(other.text)
            if start + row < column and not same:
                pairs.append((-float(cosines[row, column]), one, other))
    return [Finding("similar", f"{-cosine:.3f} {a} and {b}") for cosine, a, b in sorted(pairs)]
