"""Text embeddings on disk, so that words are embedded once and not once per process.

A folder holds the words of one text tower under one set of prompts, in chunks: files that are
written whole and never changed, so that any number of processes may read and write at once. Its
name is a digest of everything that an embedding depends on; where any of it differs, another folder
is used, and the one that was not used for longest goes when there is no room.

It lies in ``text`` below `san.weights.cache_folder` (``SAN_CACHE``). ``SAN_TEXT_CACHE=0`` turns it
off. A folder that cannot be written to is no error: words are then embedded anew.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import open_clip
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import san
from san.errors import UserError
from san.files import atomic_path, write_text
from san.weights import cache_folder

SWITCH = "SAN_TEXT_CACHE"  # environment variable; "0": no cache
MAX_BYTES = 512 << 20  # of all folders
MAX_WORDS = 65536  # of one file
MAX_CHUNKS = 16  # files of one folder; more, or more than half of MAX_BYTES, are made into one
_HASHED_AT_ONCE = 8 << 20  # bytes

logger = logging.getLogger(__name__)


def tower_digest(text_encoder, tokenizer, file=None):
    """Digest of what a text tower makes embeddings with; None: it is not to be cached.

    All weights count, bit by bit (SHA-256 over several threads: 0.15 s for the 250 MB of ViT-B/16
    on two cores), and what else there is: heads, activation, tokenizer, versions, the kind of
    device and its precision. A tower that is trained has no digest.

    Args:
        text_encoder (TextEncoder)
        tokenizer: open_clip's.
        file (tuple | None): what `file_stamp` gave of the file that the weights are in, if they
            are as it has them. Its digest is noted in the cache folder, and weights that were
            digested once need not be read again.
    """
    parameters = dict(text_encoder.named_parameters())
    trained = any(p.requires_grad for p in parameters.values())
    if trained or os.environ.get(SWITCH) == "0":
        return None
    described = {
        "versions": (san.__version__, open_clip.__version__, torch.__version__),
        "device": (text_encoder.text_projection.device.type, torch.get_float32_matmul_precision()),
        "modules": repr(text_encoder),
        "heads": [block.attn.num_heads for block in text_encoder.blocks],
        "tokenizer": (type(tokenizer).__name__, tokenizer.context_length, tokenizer.vocab_size),
        "weights": [(name, str(p.dtype), tuple(p.shape)) for name, p in parameters.items()],
    }
    description = json.dumps(described).encode()
    if file is None:
        return _digest(description, parameters.values())
    key = hashlib.sha256(description + json.dumps(file).encode()).hexdigest()
    note = cache_folder() / "text_towers" / key
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if re.fullmatch("[0-9a-f]{64}", digest := note.read_text(encoding="ascii")):
            return digest
    digest = _digest(description, parameters.values())
    with contextlib.suppress(UserError):  # as where embeddings cannot be kept
        write_text(note, digest)
    return digest


def file_stamp(path):
    """What tells a file from others, and from itself after a change -> tuple for `tower_digest`."""
    path = Path(path).resolve()
    status = path.stat()
    return (str(path), status.st_size, status.st_mtime_ns, status.st_ino)


def _digest(description, parameters):
    parts = [part for p in parameters for part in _bytes(p).split(_HASHED_AT_ONCE)]
    with ThreadPoolExecutor() as pool:
        digests = pool.map(lambda part: hashlib.sha256(part.numpy()).digest(), parts)
        return hashlib.sha256(description + b"".join(digests)).hexdigest()


def _bytes(parameter):
    """The memory of a parameter as a flat tensor of uint8 on the CPU."""
    return parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


class TextCache:
    """The embedded words of one text tower and one set of prompts.

    Args:
        digest (str): of the text tower, see :func:`tower_digest`.
        templates (sequence[str]): prompts.
    """

    def __init__(self, digest, templates):
        key = hashlib.sha256(json.dumps([digest, list(templates)]).encode()).hexdigest()
        self.folder = cache_folder() / "text" / key[:32]

    def load(self, device="cpu"):
        """What is there: dict of word -> (D,) float32 on ``device``, the newest MAX_WORDS of them.

        A file that cannot be read is deleted.
        """
        words = {}
        for path in self._chunks():
            words.update(_read(path, device))
        with contextlib.suppress(OSError):
            os.utime(self.folder)  # used just now
        return _newest(words)

    def add(self, words, embeds):
        """Keep what was embedded.

        Args:
            words (sequence[str]): N words.
            embeds (Tensor): (N, D) float32.
        """
        try:
            chunks = self._chunks()
            size = sum(map(_size, chunks))
            if len(chunks) < MAX_CHUNKS and size < MAX_BYTES // 2:
                self._write(words, embeds)
            else:
                self._merge(chunks, dict(zip(words, embeds.cpu(), strict=True)))
            _make_room(self.folder)
        except (UserError, OSError, SafetensorError) as error:
            logger.warning("The text embeddings are not kept: %s. %s=0 is quiet", error, SWITCH)

    def _chunks(self):
        """Files of the folder, oldest first."""
        found = []
        for path in self.folder.glob("*.safetensors"):
            with contextlib.suppress(OSError):  # another process may have merged it
                found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def _write(self, words, embeds):
        """Write one file, whose name is a digest of its words: processes that do the same agree."""
        listed = json.dumps(list(words))
        name = hashlib.sha256(listed.encode()).hexdigest()[:32]
        path = self.folder / f"{name}.safetensors"
        with atomic_path(path) as temporary:
            save_file({"embeds": embeds.cpu().contiguous()}, temporary, {"words": listed})
        return path

    def _merge(self, chunks, new):
        """Write all words, at most the newest MAX_WORDS, as one file in place of ``chunks``."""
        merged = {word: row for path in chunks for word, row in _read(path).items()}
        merged = _newest(merged | new)
        whole = self._write(list(merged), torch.stack(list(merged.values())))
        for path in chunks:
            if path != whole:
                path.unlink(missing_ok=True)


def _size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has merged it
        return 0


def _newest(words):
    return dict(list(words.items())[-MAX_WORDS:])


def _read(path, device="cpu"):
    """Words of one file: dict of word -> (D,); empty, and the file deleted, where it is broken."""
    try:
        with safe_open(path, framework="pt") as file:
            words = json.loads(file.metadata()["words"])
            embeds = file.get_tensor("embeds")  # (N, D)
        return dict(zip(words, embeds.to(device).unbind(), strict=True))
    except (OSError, RuntimeError, SafetensorError, KeyError, TypeError, ValueError) as error:
        if path.exists():  # else another process has merged it, before it was opened or after
            logger.warning("%s is not a file of text embeddings (%s): deleted", path, error)
            path.unlink(missing_ok=True)
        return {}


def _make_room(kept):
    """Delete the folders that were not used for longest until all of them fit, ``kept`` apart."""
    folders = []
    for folder in kept.parent.iterdir():
        with contextlib.suppress(OSError):  # another process may have deleted it
            size = sum(file.stat().st_size for file in folder.iterdir())
            folders.append((folder.stat().st_mtime_ns, size, folder))
    total = sum(size for _, size, _ in folders)
    for _, size, folder in sorted(folders):
        if total > MAX_BYTES and folder != kept:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
