"""Reading a pickle without executing what it names."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from san.data.prepare.inert_pickle import Inert, load_inert, strings


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_and_numpy_strings(protocol):
    names = ["a.jpg", "bé.jpg"]
    data = {
        "list": names,
        "array": np.array(names),
        "objects": np.array(names, object),
        "numbers": np.arange(6).reshape(2, 3),
        "count": 3,
        "scalar": np.float32(1),
        "ordered": OrderedDict(a=1),
    }
    found = load_inert(pickle.dumps(data, protocol))
    assert found["count"] == 3
    for key in ("list", "array", "objects"):
        assert strings(found[key]) == names
    for key in ("numbers", "count", "scalar", "ordered"):
        with pytest.raises(ValueError, match="not a list of strings"):
            strings(found[key])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_executed(tmp_path, protocol):
    """What plain pickle would do, and what is read instead."""
    data = pickle.dumps({"filename": Evil(str(tmp_path / "made")), "folder": ["x"]}, protocol)
    found = load_inert(data)
    assert isinstance(found["filename"], Inert) and found["folder"] == ["x"]
    assert not (tmp_path / "made").exists()
    pickle.loads(data)
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("data", [b"", b"no pickle", pickle.dumps(["whole"])[:-4]])
def test_no_pickle(data):
    with pytest.raises(ValueError, match="not a whole pickle"):
        load_inert(data)
