"""Files that are there whole or not at all, and their digests."""

import contextlib
import hashlib
import json
import os
import uuid
from pathlib import Path

from san.errors import UserError

_CHUNK = 1 << 20  # bytes


@contextlib.contextmanager
def atomic_path(path, durable=False):
    """Write a file all or not at all: the block writes to the path that it is given.

    That path is in the same folder, which is made if need be; it takes the place of ``path`` after
    the block, and is deleted if the block raises. A killed process leaves at most one of
    :func:`leftovers`, never half a file at ``path``.

    Args:
        durable (bool): have the content on the disk before the rename, so that a power cut, too,
            leaves the old file or the new one.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.open("wb").close()  # an OSError here, where torch.save has errors of its own
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors makes a file anew, for its owner alone
        if durable:
            _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
        if durable and hasattr(os, "O_DIRECTORY"):  # not on Windows
            _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}): check the rights and the free space "
            "of the folder, or choose another one"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def leftovers(folder, pattern):
    """What killed :func:`atomic_path` blocks left behind of files named like ``pattern``."""
    return sorted(Path(folder).glob(f".{pattern}.????????.tmp"))


def write_text(path, text):
    """Write a UTF-8 file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write ``value`` as standard JSON, whole or not at all; a NaN in it is a ValueError."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def file_sha256(path):
    """Hexadecimal SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path, flags):
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
