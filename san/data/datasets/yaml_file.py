"""The file that describes a data set of the user's own, checked key by key.

images: photos                # folder, relative to this file, with its sub-folders
labels: masks                 # folder: photos/a/1.jpg has the label map masks/a/1.png
classes: [road, tree, sky]    # pixel value 0, 1, 2; or {7: road, 11: tree, 23: sky}
ignore_label: 255             # pixel value, or a list of them, that does not count

palette: {road: "#804080", tree: [0, 128, 0], sky: "#4682b4"}  # label maps are RGB pictures
ignore_color: "#000000"       # or a list of colors

annotations: instances.json   # COCO's instances or panoptic JSON; `labels` is then the folder
                              # of panoptic PNGs (default: the JSON's path without suffix)
background: sky               # class of pixels in no instance (default: they do not count)

seen: [road, tree]            # classes that training showed; the others are unseen
image_suffix: .jpg            # how image files end (default: as any image)
label_suffix: _mask.png       # how label maps end (default: as any image)
names: list.txt               # the images that count, one name without suffix per line
splits:                       # each changes keys of the files; named own.yaml:train
  train: {images: photos/train, labels: masks/train}
  val: {names: val.txt}
"""

import difflib
import re

import yaml

from san.errors import UserError
from san.modeling.text.vocabulary import normalize_vocabulary

FILE_KEYS = ("images", "labels", "annotations", "image_suffix", "label_suffix", "names")
KEYS = (
    *FILE_KEYS,
    *("classes", "ignore_label", "palette", "ignore_color", "background", "seen", "splits"),
)
_TEXT_KEYS = (*FILE_KEYS, "background")


def read_yaml_file(path, split=None):
    """Read a data set file and choose one of its splits.

    Args:
        path (Path)
        split (str): one of the file's splits; None where it has none.
    Returns:
        dict: the keys that the file has, with those of the split, without ``splits``. Classes are
        {value in the label maps: name}, colors are integers red * 65536 +
        green * 256 + blue, ``palette`` has that of every class in the order of the classes.
    Raises:
        UserError: the file is missing, does not parse or contradicts itself.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"data set file {path} cannot be read ({error.strerror}): check the path"
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"data set file {path} is not YAML: {error}; docs/own_data.md shows one"
        ) from None
    try:
        return _check(data, split)
    except UserError as error:
        raise UserError(f"data set file {path}: {error}") from None


def _check(data, split):
    _check_keys(data, KEYS, "the file")
    data = _choose_split(data, split)
    for key in _TEXT_KEYS:
        if key in data and not (isinstance(data[key], str) and data[key].strip()):
            raise UserError(f"`{key}` is {data[key]!r}: write text")
    if "images" not in data:
        raise UserError("there is no `images`: give the folder of the images")
    if "labels" not in data and "annotations" not in data:
        raise UserError(
            "there is neither `labels` nor `annotations`: give the folder of the label maps, or a "
            "COCO JSON file"
        )
    if "classes" in data:
        data["classes"] = check_classes(data["classes"])
    elif "annotations" not in data:
        raise UserError("there is no `classes`: list the names of the classes")
    if "seen" in data and not isinstance(data["seen"], list):
        raise UserError(f"`seen` is {data['seen']!r}: write a list of class names")
    _check_combinations(data)
    for key in ("ignore_label", "ignore_color"):
        if key in data:
            data[key] = _check_ignored(key, data[key])
    _check_label_values(data)
    if "palette" in data:
        data["palette"] = _check_palette(data)
    return data


def _choose_split(data, split):
    splits = data.pop("splits", None)
    if splits is None:
        if split is not None:
            raise UserError(f"it has no splits, but '{split}' is asked for: leave out ':{split}'")
        return data
    if not isinstance(splits, dict) or not splits:
        raise UserError("`splits` is not a mapping: write `train: {images: ..., labels: ...}`")
    for name, changes in splits.items():
        _check_keys(changes, FILE_KEYS, f"split '{name}'")
    if split not in splits:
        given = "none is chosen" if split is None else f"'{split}' is none of them"
        raise UserError(
            f"it has the splits {', '.join(map(str, splits))}, and {given}: add ':' and one of "
            "them to the file's path"
        )
    return {**data, **splits[split]}


def check_classes(classes):
    """List or {value: name} of classes -> {value: name}, checked."""
    if isinstance(classes, list):
        classes = dict(enumerate(classes))
    if not isinstance(classes, dict) or not all(_is_id(value) for value in classes):
        raise UserError(
            "`classes` is neither a list of names nor a mapping {pixel value: name}: write "
            "[road, tree] or {7: road, 11: tree}"
        )
    try:
        names = normalize_vocabulary(list(classes.values()))
    except UserError as error:
        raise UserError(f"`classes`: {error}") from None
    for synonyms in names:
        if len(synonyms) > 1:
            raise UserError(
                f"`classes` has {'|'.join(synonyms)!r}: one name per class here; synonyms belong "
                "in a vocabulary"
            )
    return dict(zip(classes, (synonyms[0] for synonyms in names), strict=True))


def _check_combinations(data):
    palette = "palette" in data
    for key, wrong, fix in (
        ("ignore_color", not palette, "it is for colored label maps: give `palette`, too"),
        ("ignore_label", palette, "with `palette`, write `ignore_color`"),
        ("ignore_label", "annotations" in data, "what has no annotation does not count anyway"),
        ("palette", "annotations" in data, "the classes are in `annotations`: remove one"),
        ("background", "annotations" not in data, "it is for instances: give `annotations`, too"),
    ):
        if key in data and wrong:
            raise UserError(f"`{key}` does not fit here; {fix}")
    if palette and list(data["classes"]) != list(range(len(data["classes"]))):
        raise UserError("`classes` has pixel values, but with `palette` colors: write a list")


def _check_ignored(key, value):
    if key == "ignore_color":
        several = isinstance(value, list) and not all(type(item) is int for item in value)
        return tuple(parse_color(item, f"`{key}`") for item in (value if several else [value]))
    values = tuple(value) if isinstance(value, list) else (value,)
    if not all(_is_id(item) for item in values):
        raise UserError(f"`{key}` is {value!r}: write a whole number from 0, or a list of them")
    return values


def _check_label_values(data):
    for value in data.get("ignore_label", ()):
        if value in data["classes"]:
            raise UserError(
                f"`ignore_label` {value} is the pixel value of class '{data['classes'][value]}'; "
                "give every class its value, as in {1: road, 2: tree}, or ignore another one"
            )


def _check_palette(data):
    palette = data["palette"]
    if not isinstance(palette, dict):
        raise UserError('`palette` is not a mapping: write {road: "#804080", tree: [0, 128, 0]}')
    names = list(data["classes"].values())
    for name in palette:
        check_name(name, names, "`palette`")
    owner = {color: "`ignore_color`" for color in data.get("ignore_color", ())}
    for name in names:
        if name not in palette:
            raise UserError(f"`palette` has no color for class '{name}': add one")
        color = parse_color(palette[name], f"`palette`, class '{name}'")
        if color in owner:
            raise UserError(f"class '{name}' has the color #{color:06x} of {owner[color]} as well")
        owner[color] = f"class '{name}'"
    return [parse_color(palette[name], "") for name in names]


def parse_color(value, where):
    """ "#rrggbb" or [red, green, blue] -> int, red * 65536 + green * 256 + blue."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return int(value[1:], 16)
    is_triple = isinstance(value, list) and len(value) == 3
    if is_triple and all(type(item) is int and 0 <= item <= 255 for item in value):
        return value[0] << 16 | value[1] << 8 | value[2]
    raise UserError(
        f'{where}: {value!r} is no color; write "#rrggbb", in quotes, or [red, green, blue] with '
        "numbers from 0 to 255"
    )


def check_name(name, names, where):
    """Raise UserError unless ``name`` is one of the class ``names``."""
    if name not in names:
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"the classes are {', '.join(names)}"
        raise UserError(f"{where}: there is no class '{name}'; {hint}")


def _check_keys(data, known, where):
    if not isinstance(data, dict):
        raise UserError(f"{where} is not a mapping of keys: write `key: value` lines")
    for key in data:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise UserError(f"{where} has the unknown key '{key}'; {hint}use {', '.join(known)}")


def _is_id(value):
    return type(value) is int and value >= 0
