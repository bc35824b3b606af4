"""Weights by name: download, resume, checks, and what is said when they cannot be had."""

import hashlib
import http.server
import re
import threading

import huggingface_hub.constants
import pytest
import torch
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager

from san import weights
from san.checkpoint import Checkpointer, load_weights, to_san
from san.config import find_config, load_config
from san.errors import UserError
from tests.official import official_state_dict

CONTENT = bytes(range(256)) * 4096  # 1 MiB


class Hub(http.server.ThreadingHTTPServer):
    """A server of one file that notes the ranges asked for, and misbehaves when told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.ranges = []
        self.break_after = []  # bytes that the next answers send before they close
        self.ignores_ranges = False
        self.status = None  # an error to answer

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        hub = self.server
        hub.ranges.append(self.headers["Range"])
        if hub.status or self.path != "/owner/repo/resolve/main/model.pth":
            return self.send_error(hub.status or 404)
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
        if hub.ignores_ranges:
            start = 0
        self.send_response(200 if hub.ignores_ranges else 206)
        body = hub.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: hub.break_after.pop(0)] if hub.break_after else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("SAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(weights, "PAUSE", 0)
    publish(monkeypatch, CONTENT)
    yield hub
    hub.shutdown()
    thread.join()
    hub.server_close()


def publish(monkeypatch, content):
    """Enter ``content`` under the name "model"."""
    entry = weights.ModelEntry(
        config="quick/san_tiny.yaml",
        repo="owner/repo",
        file="model.pth",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setitem(weights.MODELS, "model", entry)


def test_every_published_model_can_be_checked():
    for name, entry in (weights.MODELS | weights.CLIPS).items():
        assert find_config(entry.config)
        if entry.repo:
            assert entry.url == f"https://huggingface.co/{entry.repo}/resolve/main/{name}.pth"
            assert entry.size > 10**6
            assert re.fullmatch("[0-9a-f]{64}", entry.sha256)


def test_a_model_is_downloaded_once_with_a_progress_bar(hub, tmp_path, capsys):
    path = PathManager.get_local_path("san://model")
    assert path == str(tmp_path / "cache" / "model.pth")
    assert "model.pth: 100%" in capsys.readouterr().err
    with PathManager.open("san://model", "rb") as file:
        assert file.read() == CONTENT
    assert hub.ranges == ["bytes=0-"]
    assert not (tmp_path / "cache" / "model.pth.part").exists()


def test_processes_that_start_together_download_once(hub):
    threads = [threading.Thread(target=weights.weights_path, args=["model"]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.ranges == ["bytes=0-"]


def test_a_broken_download_goes_on_where_it_broke(hub, caplog):
    hub.break_after = [300_000, 0, 400_000]
    assert weights.weights_path("model").read_bytes() == CONTENT
    assert hub.ranges == ["bytes=0-", "bytes=300000-", "bytes=300000-", "bytes=700000-"]
    assert "closed after 300000 of 1048576 bytes" in caplog.text


def test_the_next_run_goes_on_where_the_last_one_stopped(hub):
    hub.break_after = [100_000] * weights.ATTEMPTS
    with pytest.raises(UserError, match=r"Another try goes on after the 0\.5 MB that have"):
        weights.weights_path("model")
    assert weights.weights_path("model").read_bytes() == CONTENT
    assert hub.ranges[-1] == f"bytes={100_000 * weights.ATTEMPTS}-"


def test_a_server_without_ranges_starts_again(hub):
    hub.ignores_ranges = True
    hub.break_after = [300_000]
    assert weights.weights_path("model").read_bytes() == CONTENT


def test_a_wrong_download_is_deleted(hub, tmp_path):
    hub.content = CONTENT[:-1] + b"x"
    with pytest.raises(UserError, match="what has arrived has the SHA-256 digest .* deleted"):
        weights.weights_path("model")
    assert not list((tmp_path / "cache").glob("model.pth*[!k]"))  # all but the lock
    hub.content = CONTENT
    assert weights.weights_path("model").read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_used_after_a_check(hub, tmp_path):
    path = tmp_path / "cache" / "model.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert weights.weights_path("model") == path
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(UserError, match=rf"{path} has the SHA-256 digest .*delete it"):
        weights.weights_path("model")
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=r"has 1048575 bytes, and model\.pth has 1048576: .*broken"):
        weights.weights_path("model")
    assert not hub.ranges


def assert_tells_what_to_do(error, tmp_path, url):
    text = str(error.value)
    assert f"cannot download {url}/owner/repo/resolve/main/model.pth: " in text
    assert "Get model.pth (1 MB) from there" in text
    assert f"put it at {tmp_path / 'cache' / 'model.pth'}; it is then used" in text


@pytest.mark.parametrize("status", [404, 403, 503])
def test_what_the_server_refuses_is_told_with_what_to_do(hub, tmp_path, status):
    hub.status = status
    with pytest.raises(UserError, match=f"HTTP Error {status}") as error:
        weights.weights_path("model")
    assert_tells_what_to_do(error, tmp_path, hub.url)
    assert len(hub.ranges) == 1


def test_without_a_network_it_is_told_what_to_do(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="refused") as error:
        weights.weights_path("model")
    assert_tells_what_to_do(error, tmp_path, "http://127.0.0.1:9")


def test_offline_nothing_is_asked_for(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids it") as error:
        weights.weights_path("model")
    assert_tells_what_to_do(error, tmp_path, hub.url)
    assert not hub.ranges


def test_a_cache_that_cannot_be_written_is_told(hub, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="Not a directory"):
        weights.weights_path("model")


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("SAN_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert weights.cache_folder() == tmp_path / ".cache" / "san"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights.cache_folder() == tmp_path / "xdg" / "san"
    monkeypatch.setenv("SAN_CACHE", "~/weights")
    assert weights.cache_folder() == tmp_path / "weights"


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match="named 'san_vit_b'; there are: san_tiny, san_vit_b_16, "):
        PathManager.get_local_path("san://san_vit_b")


def test_small_models_ship_with_the_package():
    shipped = [weights.MODELS["san_tiny"], weights.CLIPS["clip_tiny"]]
    paths = [weights.weights_path(name) for name in ("san_tiny", "clip_tiny")]
    assert [entry.url for entry in shipped] == [None, None]
    assert sum(path.stat().st_size for path in paths) < 15e6
    with pytest.raises(UserError, match="parameters of the model are missing"):
        load_weights(torch.nn.Linear(1, 1), "san://san_tiny")


def test_a_name_loads_into_a_model(hub, monkeypatch, tmp_path):
    official = official_state_dict("tiny")
    torch.save(official, tmp_path / "official.pth")
    hub.content = (tmp_path / "official.pth").read_bytes()
    publish(monkeypatch, hub.content)
    model = build_model(load_config(find_config("quick/san_tiny.yaml")))
    Checkpointer(model).resume_or_load("san://model", resume=False)
    expected = to_san(official)["side_adapter.query_embed"]
    assert torch.equal(model.side_adapter.query_embed, expected)
