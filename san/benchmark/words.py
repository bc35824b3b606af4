"""Vocabularies of any size, of real words: shipped class lists first, then phrases made of them."""

import itertools
import random

from san.data.datasets.categories import read_categories
from san.errors import UserError

_LISTS = ("voc_20", "coco_stuff_171", "pascal_context_459", "ade20k_847")
_ADJECTIVES = ("old", "new", "small", "large", "wooden", "metal", "broken", "painted", "dusty")
_ADJECTIVES += ("wet", "striped", "round", "bright", "empty", "modern", "antique", "foreign")
_SEED = 0


def make_words(count):
    """Distinct words, always the same: those of a smaller vocabulary begin a larger one.

    Args:
        count (int): how many; the lists give more than 1,000 names, and as many for each of 17
            adjectives before them.

    Returns:
        list[str]

    Raises:
        UserError: more than there are, or none.
    """
    names = _names()
    phrases = [f"{adjective} {name}" for adjective in _ADJECTIVES for name in names]
    random.Random(_SEED).shuffle(phrases)
    words = names + phrases
    if not 1 <= count <= len(words):
        raise UserError(f"--words {count}: give a number from 1 to {len(words)}")
    return words[:count]


def _names():
    """First name of each class of the lists, without repetitions in any case."""
    names = itertools.chain.from_iterable(read_categories(name)[0] for name in _LISTS)
    distinct = {}
    for name in names:
        name = name.split(",")[0].strip()
        distinct.setdefault(name.casefold(), name)
    return list(distinct.values())
