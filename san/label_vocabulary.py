"""A vocabulary as the classes of a data set: the ``id`` of a class is a label.

Where a file gives no ids, class i is label i. One label may be without a class: it is the
background, and pixels of none of the classes get it (`Vocabulary.background_threshold`).
"""

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog

from san.errors import UserError
from san.modeling.text.vocabulary import Vocabulary


def load_label_vocabulary(path, dataset_name, allow_duplicates=False):
    """Read a vocabulary file for a registered data set.

    Args:
        path (str | Path): vocabulary file.
        dataset_name (str): registered name; one without class names is not checked.
        allow_duplicates (bool): as in `normalize_vocabulary`.

    Returns:
        Vocabulary: its classes in the order of their labels.

    Raises:
        UserError: a file that cannot be used, or classes that are not those of the labels.
    """
    vocabulary = Vocabulary.from_file(path, allow_duplicates)
    names = None
    if dataset_name in DatasetCatalog:
        names = MetadataCatalog.get(dataset_name).get("stuff_classes")
    if names:
        _check(vocabulary, names, f"vocabulary file {path}", dataset_name)
    return vocabulary.select(np.argsort(vocabulary.ids))


def _check(vocabulary, names, where, dataset_name):
    """Raise UserError unless every label but one at most has its class."""
    num_labels = len(names)
    if not num_labels - 1 <= len(vocabulary) <= num_labels:
        raise UserError(
            f"{where} has {len(vocabulary)} classes, but the data set '{dataset_name}' has "
            f"{num_labels}; list one class per label, in the order of the labels or with the label "
            "as its id"
        )
    for name, label in zip(vocabulary.names, vocabulary.ids, strict=True):
        if label >= num_labels:
            raise UserError(
                f"{where}: class {name!r} has the id {label}, but the labels of the data set "
                f"'{dataset_name}' are 0 to {num_labels - 1}; give it its label as id"
            )
    missing = missing_labels(vocabulary, num_labels)
    if missing and vocabulary.background_threshold is None:
        raise UserError(
            f"{where}: label {missing[0]} ({names[missing[0]]!r}) of the data set "
            f"'{dataset_name}' has no class; add one with that id, or a background_threshold, from "
            "which pixels of none of the classes get this label"
        )


def missing_labels(vocabulary, num_labels):
    """Labels 0..num_labels-1 that are the id of no class, ascending."""
    return sorted(set(range(num_labels)) - set(vocabulary.ids))


def to_labels(label_map, vocabulary, num_labels):
    """Positions in a vocabulary -> labels of a data set.

    Args:
        label_map (ndarray): (H, W) int, -1 for none of the classes.
        vocabulary (Vocabulary | None): None: positions are labels.
        num_labels (int)

    Returns:
        ndarray: (H, W) int; none is the one label without a class, or -1 where there is none such.
    """
    if vocabulary is None or vocabulary.ids == tuple(range(num_labels)):
        return label_map
    missing = missing_labels(vocabulary, num_labels)
    table = np.array([*vocabulary.ids, missing[0] if len(missing) == 1 else -1], np.int32)
    return table[label_map]  # index -1 is the last
