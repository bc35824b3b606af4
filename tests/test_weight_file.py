"""Reading files that are not what they should be, and writing all or nothing."""

import os
import zipfile

import pytest
import torch

from san.errors import UserError
from san.weight_file import (
    load_state_dict_file,
    read_checkpoint,
    save_weights,
)

WEIGHTS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(2, dtype=torch.float16)}


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("file", ["w.pth", "w.pt", "w.bin", "w.safetensors"])
def test_every_file_type_gives_back_tensors_and_metadata(tmp_path, file):
    save_weights(tmp_path / file, WEIGHTS, {"clip_activation": "gelu"})
    content = read_checkpoint(tmp_path / file)
    assert content["metadata"] == {"clip_activation": "gelu"}
    assert content["model"].keys() == WEIGHTS.keys()
    for key, value in load_state_dict_file(str(tmp_path / file)).items():
        assert value.dtype == WEIGHTS[key].dtype
        assert torch.equal(value, WEIGHTS[key])


def test_other_entries_are_kept(tmp_path):
    torch.save({"model": WEIGHTS, "iteration": 7, "metadata": None}, tmp_path / "w.pth")
    content = read_checkpoint(tmp_path / "w.pth")
    assert content["iteration"] == 7
    assert content["metadata"] == {}


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_objects_are_refused_by_name_and_not_run(tmp_path, zipped):
    trace = tmp_path / "trace"
    torch.save(
        {"model": WEIGHTS, "hook": Evil(trace)},
        tmp_path / "w.pth",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(UserError, match=r"w\.pth holds pickled objects \(\w+\.open\)"):
        read_checkpoint(tmp_path / "w.pth")
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_protocol_that_cannot_be_checked_is_refused(tmp_path):
    torch.save({"model": WEIGHTS}, tmp_path / "w.pth", pickle_protocol=4)
    with pytest.raises(UserError, match="pickle protocol .*torch.save's default protocol"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_files_are_told(tmp_path, file, share):
    path = tmp_path / file
    save_weights(path, {"a": torch.ones(1000)}, {})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match=rf"{file} cannot be read \(\S.*\): it is truncated or no"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>", b"\x80\x02", b"\0" * 5000])
@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_foreign_files_are_told(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=rf"{file} cannot be read \(\S.*\): it is truncated or no"):
        read_checkpoint(tmp_path / file)


def test_a_zip_of_something_else_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="no weight file"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_empty_files_are_told(tmp_path, file):
    (tmp_path / file).touch()
    with pytest.raises(UserError, match=f"{file} is empty"):
        read_checkpoint(tmp_path / file)


def test_missing_files_and_folders_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no weight file at .*none\.pth$"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(UserError, match="no weight file at .*: it is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "is no checkpoint: it holds a list"),
        ({}, "found nothing"),
        ({"model": {}}, "found nothing"),
        ({"state_dict": {"a": torch.ones(1)}, "epoch": 3}, "found state_dict, epoch"),
    ],
)
def test_content_that_is_no_checkpoint_is_told(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=message):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_can_be_read_by_whom_other_files_can_be(tmp_path, suffix):
    (tmp_path / "other").touch()
    save_weights(tmp_path / f"w{suffix}", WEIGHTS, {})
    modes = {os.stat(tmp_path / name).st_mode for name in ("other", f"w{suffix}")}
    assert len(modes) == 1
