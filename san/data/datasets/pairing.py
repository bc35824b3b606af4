"""Pair images with label maps by their names, and say what is left over."""

import os
from pathlib import Path

from san.errors import UserError
from san.inputs import image_suffixes

_SHOWN = 3  # files that a message names


class UnpairedError(UserError):
    """Images without label map or label maps without image.

    Attributes:
        records (list[dict]): of those that do pair up, possibly none.
    """

    def __init__(self, message, records):
        super().__init__(message)
        self.records = records

    def __reduce__(self):  # else pickling, to another process, would lose the records
        return type(self), (str(self), self.records)


def find_files(folder, suffix=None):
    """Files of a folder and its sub-folders by name; hidden ones do not count.

    Args:
        folder (Path)
        suffix (str): how the files' names end; None: as images do.
    Returns:
        {path below ``folder`` without suffix, with forward slashes: Path}, sorted.
    Raises:
        UserError: the folder is missing or has no such file, or two files share a name.
    """
    if not folder.is_dir():
        raise UserError(f"the folder {folder} does not exist; correct the path")
    found, kinds = {}, image_suffixes()
    for path in _walk(folder):
        if not (path.name.endswith(suffix) if suffix else path.suffix.lower() in kinds):
            continue
        relative = path.relative_to(folder).as_posix()
        key = relative.removesuffix(suffix or path.suffix)
        if key in found:
            raise UserError(
                f"{found[key]} and {path} share one name, so it is not clear which one counts; "
                "remove one of them, or tell them apart by `image_suffix` or `label_suffix`"
            )
        found[key] = path
    if not found:
        kind = f"file that ends in '{suffix}'" if suffix else "image"
        raise UserError(f"the folder {folder} holds no {kind}; correct the path or the suffix")
    return found


def pair_files(images, labels, fix):
    """Records of the images and the label maps of one name.

    Args:
        images, labels: {name: Path} as `find_files` gives them.
        fix (str): what to do about files that are left over.
    Returns:
        list of {"file_name": str, "sem_seg_file_name": str}, sorted by name.
    Raises:
        UnpairedError: an image has no label map, or a label map no image.
    """
    records = [
        {"file_name": str(images[key]), "sem_seg_file_name": str(labels[key])}
        for key in sorted(images.keys() & labels.keys())
    ]
    without_labels = [images[key] for key in sorted(images.keys() - labels.keys())]
    without_image = [labels[key] for key in sorted(labels.keys() - images.keys())]
    problems = []
    if without_labels:
        problems.append(_describe(without_labels, "image", "a label map"))
    if without_image:
        problems.append(_describe(without_image, "label map", "an image"))
    if problems:
        raise UnpairedError(f"{'; '.join(problems)}; {fix}", records)
    return records


def _describe(paths, kind, lacking):
    number = f"1 {kind}" if len(paths) == 1 else f"{len(paths)} {kind}s"
    shown = ", ".join(map(str, paths[:_SHOWN])) + (", ..." if len(paths) > _SHOWN else "")
    return f"{number} without {lacking} of the same name ({shown})"


def _walk(folder):
    """Files below a folder, hidden ones and hidden folders left out, sorted."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))
