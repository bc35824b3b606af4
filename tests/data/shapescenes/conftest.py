"""A small ShapeScenes, written once."""

import pytest

from san.data.shapescenes.prepare import prepare

SEED, SCALE = 0, 0.002


@pytest.fixture(scope="package")
def written(tmp_path_factory):
    """Root folder with a small data set, written by two processes."""
    root = tmp_path_factory.mktemp("datasets")
    prepare(root, seed=SEED, scale=SCALE, num_workers=2)
    return root
