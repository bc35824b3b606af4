"""What every prepared split must be: what the data set reads, with the ids expected."""

from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image


def assert_labels(name, published, train_ids, default=None):
    """A split's records hold the published label maps with training ids.

    Args:
        name (str): registered name.
        published: {name: (H, W) published ids}, as tests.archives returns them.
        train_ids (dict[int, int]): published id -> training id.
        default (int | None): training id of all others.
    """
    metadata = MetadataCatalog.get(name)
    records = DatasetCatalog.get(name)
    assert len(records) == len(published)
    dtype = np.uint8 if metadata.ignore_label == 255 else np.uint16
    for record, stem in zip(records, sorted(published), strict=True):
        assert Path(record["sem_seg_file_name"]).name.startswith(Path(stem).name)
        with Image.open(record["sem_seg_file_name"]) as image:
            labels, size = np.array(image), image.size
        expected = np.vectorize(lambda raw: train_ids.get(raw, default))(published[stem])
        assert labels.dtype == dtype
        np.testing.assert_array_equal(labels, expected)
        with Image.open(record["file_name"]) as image:
            assert image.size == size
        in_list = labels[labels != metadata.ignore_label]
        assert len(np.unique(in_list)) > 1 and in_list.max() < len(metadata.stuff_classes)
