"""How a method sees one data set in evaluation: resize, window, prompts, names, background.

A protocol is a folder of YAML files, one per data set, named as the data set is registered (of a
data set file, as its reports: own_val.yaml for own.yaml:val). ``own_data.yaml`` stands for all data
sets that no protocol of configs/protocols names. A file has the keys

    min_size: 336              # the shorter side of the image, in pixels,
    max_size: 2048             # unless the longer one would be larger than this
    window: 224                # side of the sliding window; left out: the whole image at once
    stride: 112                # step of the window
    templates: imagenet        # prompts or the name of a set; left out: the model's own
    vocabulary: voc21.txt      # class names, a file beside this one; left out: the data set's own
    logit_scale: 65            # factor of the cosines; left out: the model's own
    score_threshold: 0.1       # a pixel whose best score is below this is class 0; 0: none is
    area_threshold: 0.1        # a class of at most this share of the foreground becomes class 0

Class i of the vocabulary is label i, or its ``id`` is the label. The published protocols are in
configs/protocols.
"""

import numbers
from dataclasses import dataclass
from pathlib import Path

import yaml

from san.dataset_names import short_name
from san.errors import UserError
from san.label_vocabulary import load_label_vocabulary
from san.modeling.text.templates import get_templates
from san.modeling.text.vocabulary import Vocabulary

_PACKAGE = Path(__file__).parent
_FOLDERS = tuple(root / "configs" / "protocols" for root in (_PACKAGE, _PACKAGE.parent))
_OWN_DATA = "own_data.yaml"
_REQUIRED = ("min_size", "max_size")
_LENGTHS = (*_REQUIRED, "window", "stride")
_SHARES = ("score_threshold", "area_threshold")
_KEYS = (*_LENGTHS, "templates", "vocabulary", "logit_scale", *_SHARES)


@dataclass(frozen=True, eq=False)
class Protocol:
    """The settings of one method on one data set; lengths in pixels.

    Attributes:
        name, dataset: name of the protocol; registered name of the data set.
        min_size, max_size: images are resized to this shorter side, unless the longer side would
            exceed ``max_size``.
        window, stride: side and step of the sliding window; None: the whole image at once.
        templates: prompts, each with one "{}"; None: the model's own.
        vocabulary: the classes of the labels (`san.label_vocabulary`); None: the data set's
            own names.
        logit_scale: factor of the cosines before the softmax; None: the model's own.
        score_threshold: a pixel whose best score is below it goes to class 0; 0: none does.
        area_threshold: a class (but 0) whose share of the pixels of all classes (but 0) is not
            above it goes to class 0; 0: none does.
    """

    name: str
    dataset: str
    min_size: int
    max_size: int
    window: int | None = None
    stride: int | None = None
    templates: tuple[str, ...] | None = None
    vocabulary: Vocabulary | None = None
    logit_scale: float | None = None
    score_threshold: float = 0.0
    area_threshold: float = 0.0


def load_protocol(name, dataset_name):
    """Read the protocol ``name`` for a registered data set.

    Args:
        name (str): a folder of configs/protocols, or the path of a folder of one's own.
        dataset_name (str): registered name, or file.

    Returns:
        Protocol

    Raises:
        UserError: no such protocol, none for this data set, a file with a key or value that cannot
            be used, another number of classes than the data set has.
    """
    path = _find_file(name, dataset_name)
    return Protocol(name=name, dataset=dataset_name, **_read(path, dataset_name))


def evaluation_vocabulary(cfg, dataset_name):
    """The words that a data set is evaluated by, one place for all who need to know.

    Args:
        cfg: TEST.VOCABULARY, a vocabulary file, or else TEST.PROTOCOL.
        dataset_name (str): registered name.

    Returns:
        Vocabulary | None: None stands for the data set's own names.

    Raises:
        UserError: a file that cannot be used or does not fit the data set.
    """
    if cfg.TEST.VOCABULARY:
        return load_label_vocabulary(cfg.TEST.VOCABULARY, dataset_name)
    if cfg.TEST.PROTOCOL:
        return load_protocol(cfg.TEST.PROTOCOL, dataset_name).vocabulary
    return None


def protocol_names():
    """Names of the protocols that come with the package, sorted."""
    return sorted({path.name for path in _shipped()})


def _find_file(name, dataset_name):
    folder, file_name = _find_folder(name), f"{short_name(dataset_name)}.yaml"
    is_own = not any((path / file_name).is_file() for path in _shipped())
    names = (file_name, _OWN_DATA) if is_own else (file_name,)
    for path in (folder / name for name in names):
        if path.is_file():
            return path
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    raise UserError(
        f"TEST.PROTOCOL: '{name}' is not laid down for the data set '{dataset_name}', only for "
        f"{', '.join(known) or 'none'}; choose another protocol, or give the path of a folder that "
        f"has {' or '.join(names)}"
    )


def _shipped():
    """Folders of the protocols that come with the package."""
    return [path for root in _FOLDERS for path in root.glob("*") if path.is_dir()]


def _find_folder(name):
    for folder in (*(root / name for root in _FOLDERS), Path(name)):
        if folder.is_dir():
            return folder
    raise UserError(
        f"TEST.PROTOCOL is '{name}'; there are {', '.join(protocol_names())}, or give the path of "
        "a folder with one YAML file per data set"
    )


def _read(path, dataset_name):
    """The checked fields of one file -> dict for `Protocol`."""
    where = f"protocol file {path}"
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{where} cannot be read: {error}") from None
    if not isinstance(fields, dict):
        raise UserError(f"{where}: write `key: value` lines, of {', '.join(_KEYS)}")
    unknown = [key for key in fields if key not in _KEYS]
    if unknown:
        raise UserError(f"{where}: unknown key {unknown[0]!r}; there are {', '.join(_KEYS)}")
    _check_values(fields, where)
    if "templates" in fields:
        fields["templates"] = _read_templates(fields["templates"], where)
    if "vocabulary" in fields:
        fields["vocabulary"] = _read_vocabulary(fields["vocabulary"], path, dataset_name)
    return fields


def _check_values(fields, where):
    for key in _REQUIRED:
        if key not in fields:
            raise UserError(f"{where}: {key} is missing; give it in pixels")
    for key in _LENGTHS:
        if key in fields and (type(fields[key]) is not int or fields[key] < 1):
            raise UserError(f"{where}: {key} is {fields[key]!r}; give a whole number of pixels")
    for key in _SHARES:
        if key in fields and not (_is_number(fields[key]) and 0 <= fields[key] <= 1):
            raise UserError(f"{where}: {key} is {fields[key]!r}; give a number from 0 to 1")
    scale = fields.get("logit_scale", 1)
    if not (_is_number(scale) and scale > 0):
        raise UserError(f"{where}: logit_scale is {scale!r}; give a number above 0")
    if fields["max_size"] < fields["min_size"]:
        raise UserError(
            f"{where}: max_size {fields['max_size']} is below min_size {fields['min_size']}"
        )
    if ("window" in fields) != ("stride" in fields):
        raise UserError(f"{where}: window and stride come together; give both or neither")
    if fields.get("stride", 0) > fields.get("window", 0):
        raise UserError(
            f"{where}: stride {fields['stride']} is above window {fields['window']}, which would "
            "leave pixels out"
        )


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _read_templates(templates, where):
    """Prompts, or the name of a set -> tuple of prompts."""
    checked = Vocabulary.from_words(["word"], templates=templates).templates
    return get_templates(checked, f"{where}: templates") if isinstance(checked, str) else checked


def _read_vocabulary(name, path, dataset_name):
    """The vocabulary file ``name`` beside the protocol file ``path``.

    A published list may hold a word in two classes, as SCLIP's "bed": it is taken as it is.
    """
    if not isinstance(name, str):
        raise UserError(f"protocol file {path}: vocabulary is {name!r}; give the name of a file")
    return load_label_vocabulary(path.parent / name, dataset_name, allow_duplicates=True)
