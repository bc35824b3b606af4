"""Published weights by name: ``san://NAME`` wherever Detectron2 takes a path to weights.

Importing this module registers the prefix with Detectron2's PathManager.
"""

import http.client
import logging
import os
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from detectron2.utils.file_io import PathHandler, PathManager
from iopath.common.file_io import file_lock
from tqdm import tqdm

from san.errors import UserError
from san.files import file_sha256

ATTEMPTS = 5  # connections per download; each goes on where the one before broke
PAUSE = 1  # seconds before the second connection, twice that before the third, and so on
TIMEOUT = 30  # seconds without a byte after which a connection counts as broken
SHIPPED = Path(__file__).parent / "pretrained"
_CHUNK = 1 << 20  # bytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked for by name.

    config: its config, below configs/; :func:`san.config.find_config` finds it.
    file: of its weights; repo: repository on Hugging Face that has it; None: it is part of this
    package, in :data:`SHIPPED`.
    size: bytes. sha256: hexadecimal digest. Both are of published files.
    """

    config: str
    file: str
    repo: str | None = None
    size: int | None = None
    sha256: str | None = None

    @property
    def url(self):
        """Where the file is (``HF_ENDPOINT`` names a mirror of Hugging Face); None: it ships."""
        from huggingface_hub import hf_hub_url  # slow to import

        endpoint = os.environ.get("HF_ENDPOINT")
        return hf_hub_url(self.repo, self.file, endpoint=endpoint) if self.repo else None


# Sizes and digests: the Git LFS pointers in https://huggingface.co/Mendel192/san
MODELS = {
    "san_tiny": ModelEntry(config="san_tiny_shapescenes.yaml", file="san_tiny.safetensors"),
    "san_vit_b_16": ModelEntry(
        config="san_clip_vit_res4_coco.yaml",
        repo="Mendel192/san",
        file="san_vit_b_16.pth",
        size=698_678_283,
        sha256="d616d2767b206d66b70a7742398c9b818beaf9742e134894449196af11bf19da",
    ),
    "san_vit_large_14": ModelEntry(
        config="san_clip_vit_large_res4_coco.yaml",
        repo="Mendel192/san",
        file="san_vit_large_14.pth",
        size=1_821_680_110,
        sha256="dd605f75f8ec66a107164b064c3ef217deae2848349dc52e6eab6f0b071bf12c",
    ),
}

# CLIP weights for MODEL.SAN.CLIP_PRETRAINED_NAME
CLIPS = {
    "clip_tiny": ModelEntry(config="clip_tiny_shapescenes.yaml", file="clip_tiny.safetensors"),
}


def find_model(name):
    """The entry of a model or a CLIP; a UserError lists the names where there is none."""
    entries = MODELS | CLIPS
    if name not in entries:
        raise UserError(f"no model is named {name!r}; there are: {', '.join(entries)}")
    return entries[name]


def cache_folder():
    """Where downloads are kept: ``SAN_CACHE``, or ``san`` in the user's cache folder."""
    if os.environ.get("SAN_CACHE"):
        return Path(os.environ["SAN_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "san"


def weights_path(name):
    """Path of the weights of a model, downloaded if need be, and checked against its digest.

    A file that was put into :func:`cache_folder` by hand is used as it is, after the same check.
    Raises a UserError where they cannot be had (it says which file to get, from where, and where to
    put it), and where the file is not the published one.
    """
    entry = find_model(name)
    if entry.repo is None:
        return SHIPPED / entry.file
    path = cache_folder() / entry.file
    if not path.is_file():
        _download_once(entry, path)
    if problem := _problem(path, entry):
        raise UserError(
            f"{path} {problem}: it is broken or another file; delete it, and it is downloaded again"
        )
    return path


def _problem(path, entry):
    """What tells this file from the published one; None: nothing does."""
    size = path.stat().st_size
    if size != entry.size:
        return f"has {size} bytes, and {entry.file} has {entry.size}"
    digest = file_sha256(path)
    if digest != entry.sha256:
        return f"has the SHA-256 digest {digest}, and {entry.file} has {entry.sha256}"
    return None


def _download_once(entry, path):
    """One process of a job downloads, the others wait for it."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(str(path)):
            if not path.is_file():
                _download(entry, part)
                os.replace(part, path)
    except (OSError, http.client.HTTPException) as error:
        kept = part.stat().st_size / 1e6 if part.is_file() else 0  # MB
        again = f". Another try goes on after the {kept:.1f} MB that have arrived" if kept else ""
        raise UserError(
            f"cannot download {entry.url}: {error}. Get {entry.file} ({entry.size / 1e6:.0f} MB) "
            f"from there and put it at {path}; it is then used from there{again}"
        ) from None


def _download(entry, part):
    """Download to ``part``, going on where it ends; OSError or HTTPException where that fails."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        raise OSError("the environment variable HF_HUB_OFFLINE forbids it")
    logger.info("Downloading %s to %s", entry.url, part.parent)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _download_rest(entry, part)
            break
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                raise
            logger.warning("The download of %s broke (%s), going on with it", entry.file, error)
            time.sleep(attempt * PAUSE)
    if problem := _problem(part, entry):
        part.unlink()
        raise OSError(f"what has arrived {problem}; it was deleted")


def _download_rest(entry, part):
    start = part.stat().st_size if part.is_file() else 0
    if start >= entry.size:
        return
    request = urllib.request.Request(entry.url, headers={"Range": f"bytes={start}-"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT  # else it is the whole file
        start = start if resumed else 0
        bar = tqdm(desc=entry.file, total=entry.size, initial=start, unit="B", unit_scale=True)
        with bar, open(part, "ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            if file.tell() < entry.size:
                raise ConnectionError(f"closed after {file.tell()} of {entry.size} bytes")


class _SanHandler(PathHandler):
    """``san://NAME``: the weights of a model in ``MODELS``."""

    _PREFIX = "san://"

    def _get_supported_prefixes(self):
        return [self._PREFIX]

    def _get_local_path(self, path, force=False, **kwargs):
        self._check_kwargs(kwargs)
        return str(weights_path(path.removeprefix(self._PREFIX)))

    def _open(self, path, mode="r", buffering=-1, **kwargs):
        return open(self._get_local_path(path), mode, buffering, **kwargs)


PathManager.register_handler(_SanHandler(), allow_override=True)
