"""Vocabulary files: what a user writes down about the classes, as plain values.

A file is text with one class per line (``#`` starts a comment) or, by its suffix .yaml, .yml or
.json, YAML: a list of classes, or

    classes:
      - sky
      - sofa|couch                       # one class, two words for it
      - {name: grass, synonyms: [lawn, meadow], color: "#4c9a2a", id: 9}
    background_threshold: 0.5            # optional: share of "none of these" that wins a pixel
    templates: ["a photo of a {}."]      # optional: prompts, or the name of a template set
"""

import re
from pathlib import Path

import yaml

from san.errors import UserError
from san.files import write_text

_FILE_KEYS = ("classes", "background_threshold", "templates")
_CLASS_KEYS = ("name", "synonyms", "color", "id")
_YAML_SUFFIXES = (".yaml", ".yml", ".json")
_FIX = "write `classes:` and below it one `- name` per line"


def read_vocabulary_file(path):
    """Read a vocabulary file into the keyword arguments of `Vocabulary.from_words`, unchecked.

    Returns:
        dict: ``words``, and from YAML ``colors`` and ``ids`` (one entry per class, None where the
        file has none) and, where the file has them, ``background_threshold`` and ``templates``.

    Raises:
        UserError: the file cannot be read or parsed, or has another form; the message names the
            file, where known the line, and the fix.
    """
    path = Path(path)
    text = _read_text(path)
    if path.suffix.lower() not in _YAML_SUFFIXES:
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
        return {"words": [line for line in lines if line]}
    return _fields_of(_parse_yaml(text, path), path)


def _read_text(path):
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"vocabulary file {path} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from None
    except OSError as error:
        raise UserError(
            f"vocabulary file {path} cannot be read ({error.strerror}): check the path"
        ) from None


def _parse_yaml(text, path):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        if isinstance(error, yaml.constructor.ConstructorError):
            fix = "write plain words, numbers and lists; tags and Python objects are refused"
        else:
            fix = _FIX
        raise UserError(f"vocabulary file {path}{line}: {problem}: {fix}") from None


def _fields_of(data, path):
    data = {"classes": data} if isinstance(data, list) else data
    if not isinstance(data, dict) or not isinstance(data.get("classes"), list):
        raise UserError(f"vocabulary file {path} has no list of classes: {_FIX}")
    _refuse_unknown_keys(data, _FILE_KEYS, f"vocabulary file {path}")
    entries = [
        _class_of(entry, f"vocabulary file {path}, class {position}")
        for position, entry in enumerate(data.pop("classes"), start=1)
    ]
    words, colors, ids = zip(*entries, strict=True) if entries else ((), (), ())
    return {**data, "words": words, "colors": colors, "ids": ids}


def _class_of(entry, where):
    """One entry of ``classes:`` -> (phrases, color or None, id or None)."""
    if not isinstance(entry, dict):
        return entry, None, None
    _refuse_unknown_keys(entry, _CLASS_KEYS, where)
    name, synonyms = entry.get("name"), entry.get("synonyms", [])
    if not isinstance(name, str) or not isinstance(synonyms, list):
        raise UserError(
            f"{where} is {entry!r}: give it `name:` with text and, where it has synonyms, "
            "`synonyms:` with a list of words"
        )
    return [*name.split("|"), *synonyms], entry.get("color"), entry.get("id")


def _refuse_unknown_keys(mapping, known, where):
    for key in mapping:
        if key not in known:
            raise UserError(f"{where} has the unknown key {key!r}: use {', '.join(known)}")


def write_vocabulary_file(path, vocabulary):
    """Write a `Vocabulary` as YAML, with all that a vocabulary file can say.

    Raises:
        UserError: another suffix than .yaml or .yml, or the file cannot be written.
    """
    path = _yaml_path(path)
    classes = [
        {"name": phrases[0], "synonyms": list(phrases[1:]), "id": number, "color": _hex(color)}
        for phrases, number, color in zip(
            vocabulary.synonyms, vocabulary.ids, vocabulary.colors, strict=True
        )
    ]
    data = {"classes": [{k: v for k, v in entry.items() if v != []} for entry in classes]}
    if vocabulary.background_threshold is not None:
        data["background_threshold"] = vocabulary.background_threshold
    if vocabulary.templates is not None:
        templates = vocabulary.templates
        data["templates"] = templates if isinstance(templates, str) else list(templates)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    write_text(path, text)


def set_background_threshold(path, value):
    """Write a background threshold into a YAML vocabulary file, and leave the rest as it is.

    Raises:
        UserError: a file that is no YAML with ``classes:``, or cannot be written.
    """
    path = _yaml_path(path)
    text = _read_text(path)
    before = _parse_yaml(text, path)
    if not isinstance(before, dict):
        raise UserError(
            f"vocabulary file {path} is a mere list, which has no place for a "
            "background_threshold: put `classes:` above it"
        )
    line = f"background_threshold: {value}"
    text, count = re.subn(r"(?m)^background_threshold:[^#\n]*?(?=\s*(#|$))", line, text)
    if not count:
        text = f"{text.rstrip()}\n{line}\n"
    try:
        fits = yaml.safe_load(text) == {**before, "background_threshold": value}
    except yaml.YAMLError:  # `before` is written in braces
        fits = False
    if not fits:
        raise UserError(f"vocabulary file {path}: write `{line}` into it by hand")
    write_text(path, text)


def _yaml_path(path):
    path = Path(path)
    if path.suffix.lower() not in _YAML_SUFFIXES[:2]:
        raise UserError(f"vocabulary file {path}: a file to be written ends in .yaml or .yml")
    return path


def _hex(color):
    return f"#{bytes(color).hex()}"
