"""Which images a command line means, and under which name each result is written."""

import glob
import os
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from san.errors import UserError


class Input(NamedTuple):
    """One image to segment."""

    path: Path
    name: Path  # of its results, relative to the output folder, without suffix; unique


def find_inputs(patterns, exclude=None):
    """Find the images of files, folders (with their sub-folders) and glob patterns (with ``**``).

    Args:
        patterns: paths as the user wrote them. A file need not exist: reading it will say so.
        exclude: folder whose files are passed over, such as that of the results.

    Returns:
        list of `Input`: in the order of ``patterns``, each folder sorted, each file once. Results
        keep the sub-folders below a folder or below the fixed part of a pattern; where two would
        still share a name, sub-folders and then suffixes are added until they differ.

    Raises:
        UserError: a folder or pattern without an image.
    """
    roots = {}  # path -> folder that its results are named from
    for pattern in patterns:
        for path, root in _expand(str(pattern), exclude):
            roots.setdefault(Path(os.path.abspath(path)), Path(os.path.abspath(root)))
    paths = list(roots)
    names = [path.relative_to(root).with_suffix("") for path, root in roots.items()]
    if _repeated(names):
        common = Path(os.path.commonpath([path.parent for path in paths]))
        names = [path.relative_to(common).with_suffix("") for path in paths]
    repeated = _repeated(names)
    names = [
        name.with_name(path.name) if _key(name) in repeated else name
        for name, path in zip(names, paths, strict=True)
    ]
    if repeated := _repeated(names):
        raise UserError(
            f"several images would have results named {sorted(repeated)[0]!r}: "
            "rename one, or segment them into different folders"
        )
    return [Input(path, name) for path, name in zip(paths, names, strict=True)]


def _expand(pattern, exclude):
    """Files of one pattern -> list of (path, root)."""
    path = Path(pattern).expanduser()
    if path.is_dir():
        found = [p for p in path.rglob("*") if _is_image(p) and not _is_below(p, exclude)]
        root = path
    elif glob.has_magic(pattern) and not path.exists():
        matches = map(Path, glob.glob(str(path), recursive=True))
        found = [p for p in matches if p.is_file() and not _is_below(p, exclude)]
        root = _fixed_part(path)
    else:
        return [(path, path.parent)]
    if not found:
        kinds = "image" if path.is_dir() else "file"
        raise UserError(f"no {kinds} found in {pattern!r}: check the path")
    return [(p, root) for p in sorted(found)]


def _fixed_part(pattern):
    """The folder above the first part of a glob pattern that has a wildcard."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _is_image(path):
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in image_suffixes() and path.is_file()


def image_suffixes():
    """Suffixes of image files that Pillow reads, in lower case with the dot -> set of str."""
    suffixes = Image.registered_extensions()  # {".jpg": "JPEG", ...}; Pillow caches it
    return {suffix for suffix, kind in suffixes.items() if kind in Image.OPEN}


def _is_below(path, folder):
    return folder is not None and Path(folder).resolve() in path.resolve().parents


def _key(name):
    """What tells names apart on any file system."""
    return str(name).casefold()


def _repeated(names):
    seen, repeated = set(), set()
    for key in map(_key, names):
        (repeated if key in seen else seen).add(key)
    return repeated
