"""The words a user asks for: checked, and kept in the caller's order."""

import numbers
import re
from dataclasses import dataclass, replace

import numpy as np

from san.colors import palette
from san.errors import UserError
from san.modeling.text.vocabulary_file import read_vocabulary_file

MAX_CLASSES = 65535  # label files are 16-bit, and 65535 stands for "none" in them


def normalize_vocabulary(words, allow_duplicates=False):
    """Check a vocabulary and give each class its synonyms.

    Args:
        words: sequence with one entry per class: a string, in which ``|`` separates synonyms
            ("sofa|couch"), or a sequence of synonyms, each taken whole.
        allow_duplicates (bool): a word may stand in several classes, as in some published lists.

    Returns:
        tuple with one tuple of phrases per class, in the caller's order; spelling and case are
        kept, white space around a phrase is stripped and runs of it become one space.

    Raises:
        UserError: no class at all, an entry that is not text, an empty word, or a word that
            stands twice (in any case); the message names the word and its position, from 1.
    """
    if isinstance(words, str) or not hasattr(words, "__iter__"):
        raise UserError(f'a vocabulary is a list of words, not {words!r}: write ["cat", "dog"]')
    classes = tuple(
        _normalize_class(entry, position) for position, entry in enumerate(words, start=1)
    )
    if not classes:
        raise UserError("the vocabulary is empty: name at least one class")
    if len(classes) > MAX_CLASSES:
        raise UserError(f"the vocabulary has {len(classes)} classes: at most {MAX_CLASSES} fit")
    if not allow_duplicates:
        _refuse_duplicates(classes)
    return classes


def _normalize_class(entry, position):
    phrases = entry.split("|") if isinstance(entry, str) else entry
    if not isinstance(phrases, (list, tuple)) or not all(isinstance(p, str) for p in phrases):
        raise UserError(
            f"class {position} of the vocabulary is {entry!r}, which is not text: "
            "write a word, in quotes where it looks like a number or yes and no"
        )
    phrases = tuple(" ".join(phrase.split()) for phrase in phrases)
    if not phrases or not all(phrases):
        raise UserError(
            f"class {position} of the vocabulary is {entry!r}, which holds an empty word: "
            "write a word or remove it"
        )
    return phrases


def _refuse_duplicates(classes):
    seen = {}  # word in lower case -> position of its class
    for position, phrases in enumerate(classes, start=1):
        for phrase in phrases:
            word = phrase.casefold()
            if word in seen:
                raise UserError(
                    f"{phrase!r} stands twice in the vocabulary, in class {seen[word]} and in "
                    f"class {position}: remove one of them"
                )
            seen[word] = position


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Classes to look for and how to show them; label i is class i.

    Attributes:
        names: per class the name to show, the first of its synonyms.
        synonyms: per class all its phrases, the name included.
        colors: (C,3) uint8 sRGB, one per class.
        ids: per class a number of the user's own, unique; by default its position.
        background_threshold: share of "none of these", 0..1, from which a pixel is given to no
            class; None leaves every pixel with its best class.
        templates: prompts that hold ``{}`` once, or the name of a template set; None leaves the
            model's own.
    """

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    colors: np.ndarray
    ids: tuple[int, ...]
    background_threshold: float | None = None
    templates: tuple[str, ...] | str | None = None

    @classmethod
    def from_words(
        cls,
        words,
        colors=None,
        ids=None,
        background_threshold=None,
        templates=None,
        allow_duplicates=False,
    ):
        """Build a vocabulary, checking everything.

        Args:
            words: classes as `normalize_vocabulary` takes them.
            colors: per class "#rrggbb", [red, green, blue] in 0..255, or None for the palette.
            ids: per class a number from 0, or None for its position.
            background_threshold, templates: as the attributes.
            allow_duplicates: as in `normalize_vocabulary`.

        Raises:
            UserError: names the value at fault and the fix.
        """
        synonyms = normalize_vocabulary(words, allow_duplicates)
        names = tuple(phrases[0] for phrases in synonyms)
        unset = [None] * len(names)
        return cls(
            names=names,
            synonyms=synonyms,
            colors=_complete_colors(names, colors or unset),
            ids=_complete_ids(names, ids or unset),
            background_threshold=check_background_threshold(background_threshold),
            templates=_check_templates(templates),
        )

    @classmethod
    def from_file(cls, path, allow_duplicates=False):
        """Read a vocabulary file, as `san.modeling.text.vocabulary_file` describes it.

        Raises:
            UserError: the file is missing, does not parse, or holds a value that cannot be used;
                the message names the file, where known the line, and the fix.
        """
        fields = read_vocabulary_file(path)
        try:
            return cls.from_words(**fields, allow_duplicates=allow_duplicates)
        except UserError as error:
            raise UserError(f"vocabulary file {path}: {error}") from None

    def select(self, positions):
        """The vocabulary of the classes at some positions, in their order."""
        columns = {
            key: tuple(getattr(self, key)[position] for position in positions)
            for key in ("names", "synonyms", "ids")
        }
        return replace(self, **columns, colors=self.colors[list(positions)])

    def __len__(self):
        return len(self.names)

    @property
    def classes(self):
        """What the model takes as ``vocabulary``: one tuple of synonyms per class."""
        return self.synonyms


def check_background_threshold(value):
    """Return ``value`` as a float in 0..1, or None; UserError for anything else."""
    if value is None:
        return None
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise UserError(f"background_threshold is {value!r}: give a number from 0 to 1")
    return float(value)


def check_ids(vocabulary):
    """Raise UserError for an id that does not fit into a label file, where 65535 is "none"."""
    if max(vocabulary.ids) >= MAX_CLASSES:
        name = vocabulary.names[vocabulary.ids.index(max(vocabulary.ids))]
        raise UserError(
            f"class {name!r} has the id {max(vocabulary.ids)}: label files hold ids up to "
            f"{MAX_CLASSES - 1}"
        )


def _complete_colors(names, given):
    """Parse the given colors and take the others from the palette -> (C,3) uint8."""
    parsed = [
        None if color is None else _parse_color(color, name)
        for name, color in zip(names, given, strict=True)
    ]
    taken = [color for color in parsed if color is not None]
    fill = iter(palette(len(names) - len(taken), taken))
    return np.array([next(fill) if color is None else color for color in parsed], np.uint8)


def _parse_color(color, name):
    if isinstance(color, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        return list(bytes.fromhex(color[1:]))
    is_triple = isinstance(color, (list, tuple)) and len(color) == 3
    if is_triple and all(type(value) is int and 0 <= value <= 255 for value in color):
        return list(color)
    raise UserError(
        f'class {name!r} has the color {color!r}: write "#rrggbb", in quotes, or '
        "[red, green, blue] with numbers from 0 to 255"
    )


def _complete_ids(names, given):
    """Check the given ids and use the position for the others -> tuple of unique ids."""
    owner = {}  # id -> name of its class
    for position, (name, value) in enumerate(zip(names, given, strict=True)):
        value = position if value is None else value
        if type(value) is not int or value < 0:
            raise UserError(f"class {name!r} has the id {value!r}: give a whole number from 0")
        if value in owner:
            raise UserError(
                f"classes {owner[value]!r} and {name!r} both have the id {value}: give each its "
                "own (a class without an id has its position, from 0)"
            )
        owner[value] = name
    return tuple(owner)


def _check_templates(templates):
    if templates is None or (isinstance(templates, str) and "{}" not in templates):
        return templates
    templates = [templates] if isinstance(templates, str) else templates
    if not isinstance(templates, (list, tuple)) or not templates:
        raise UserError(f"templates is {templates!r}: give a list of prompts or a template set")
    for template in templates:
        parts = template.split("{}") if isinstance(template, str) else ()
        if len(parts) != 2 or set("{}") & set("".join(parts)):
            raise UserError(
                f"template {template!r}: write text that holds {{}} once, for the word, and no "
                "other braces"
            )
    return tuple(templates)
