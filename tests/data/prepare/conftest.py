"""A folder of downloads, and a root to prepare data sets in."""

import pytest

from san.data.prepare import prepare


@pytest.fixture
def downloads(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


@pytest.fixture
def make(root, downloads):
    """Prepare data sets from the miniature downloads, in this process -> exit status."""

    def run(*names, num_workers=1, subset=True):
        return prepare(names, root, downloads, num_workers, subset)

    return run
