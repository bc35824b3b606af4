import subprocess

import torch
from detectron2.modeling import build_model

import san
from san.config import load_config
from san.files import file_sha256
from san.provenance import (
    code_version,
    command_line,
    library_versions,
    machine,
    peak_memory,
    value_sha256,
    weights_sha256,
)
from tests.tiny import CONFIG


def git(folder, *args):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", *identity, "-C", str(folder), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_revision_of_a_checkout(tmp_path):
    assert code_version(tmp_path) == {"san": san.__version__, "revision": None, "dirty": None}
    git(tmp_path, "init")
    assert code_version(tmp_path)["revision"] is None  # nothing is committed yet
    (tmp_path / "a.py").write_text("a = 1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-m", "a")
    revision = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "log.txt").write_text("a run leaves files")
    version = {"san": san.__version__, "revision": revision}
    assert code_version(tmp_path) == {**version, "dirty": False}
    (tmp_path / "a.py").write_text("a = 2\n")
    assert code_version(tmp_path) == {**version, "dirty": True}
    # an installed package in a virtual environment inside of somebody's checkout
    assert code_version(tmp_path / "output")["revision"] is None


def test_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_version() == {"san": san.__version__, "revision": None, "dirty": None}


def test_libraries_and_machine():
    versions = library_versions()
    assert versions["torch"] == torch.__version__ and versions["detectron2"] == "0.6"
    assert next(iter(versions)) == "python" and {"open_clip", "numpy"} < versions.keys()
    assert None not in {**versions, "cuda": ""}.values()
    here = machine("cpu")
    assert here["gpu"] is None and here["cpu"] and here["threads"] == torch.get_num_threads()


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory()["cpu"]
    block = torch.ones(int(before) + 200, 250_000)  # of 1 MB each, more than was ever held
    assert peak_memory()["cpu"] > before + 100
    del block


def test_command_line_can_be_repeated(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/a/b/san", "evaluate", "DATASETS.TEST", "('x',)"])
    assert command_line() == """san evaluate DATASETS.TEST '('"'"'x'"'"',)'"""


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert file_sha256(tmp_path / "a") == abc
    assert value_sha256({"b": [1, None], "a": "ä"}) == value_sha256({"a": "ä", "b": [1, None]})
    assert value_sha256(["a", "b"]) != value_sha256(["b", "a"])


def test_digest_of_weights_is_that_of_the_tensors():
    options = ["MODEL.SAN.CLIP_PRETRAINED_NAME", "", "MODEL.DEVICE", "cpu"]
    model = build_model(load_config(CONFIG, options))
    digest = weights_sha256(model)
    model.criterion.class_weight.mul_(2)  # made from the config, and of no bearing here
    assert weights_sha256(model) == digest
    with torch.no_grad():
        model.text_classifier.logit_scale.add_(1e-6)
    assert weights_sha256(model) != digest
