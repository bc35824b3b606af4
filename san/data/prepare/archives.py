"""Tables of contents of zip and tar archives: {name: Blob}."""

import gzip
import shutil
import tarfile
import zipfile
import zlib

from san.errors import UserError

from .blob import DEFLATED, STORED, Blob

_ENCRYPTED = 1  # flag bit of a zip member


def list_archive(path, scratch):
    """Where each file of an archive lies.

    Args:
        path (Path): .zip, .tar, or .tar.gz.
        scratch (Path): folder for the decompressed form of a .tar.gz, which cannot be read in
            any order as it is.
    Returns:
        dict[str, Blob]: by name inside the archive; no folders, no hidden files.
    Raises:
        UserError: the archive is cut off, damaged or of another kind, or the disk is full.
    """
    try:
        if path.suffix == ".zip":
            blobs = list(_list_zip(path))
        elif path.suffix == ".gz":
            blobs = list(_list_tar(_decompress(path, scratch), path))
        else:
            blobs = list(_list_tar(path, path))
    except OSError as error:
        if error.errno is None:  # gzip's own
            raise _not_whole(path, error) from error
        raise UserError(
            f"{path}: cannot read it, or not write its decompressed form to {scratch} "
            f"({error.strerror}): check the rights and the free space"
        ) from error
    except (EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
        raise _not_whole(path, error) from error
    return {blob.member: blob for blob in blobs if not _is_hidden(blob.member)}


def _not_whole(path, error):
    return UserError(
        f"{path}: not a whole archive ({error}): the download was cut off or went wrong; "
        "download it anew"
    )


def _is_hidden(name):
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1].startswith(".")


def _list_zip(path):
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.compress_type not in (STORED, DEFLATED) or info.flag_bits & _ENCRYPTED:
                raise zipfile.BadZipFile(
                    f"{info.filename} is encrypted or compressed in an unusual way"
                )
            yield Blob(
                path,
                info.file_size,
                path,
                info.filename,
                info.header_offset,
                info.compress_type,
                info.compress_size,
                info.CRC,
            )


def _list_tar(path, archive):
    """Files of an uncompressed tar, which was downloaded as ``archive``."""
    size = path.stat().st_size
    with tarfile.open(path, "r:") as members:
        for info in members:
            if info.offset_data + info.size > size:
                raise tarfile.ReadError(f"it ends inside {info.name}")
            if info.isfile():
                yield Blob(path, info.size, archive, info.name.removeprefix("./"), info.offset_data)


def _decompress(path, scratch):
    """Write the tar inside a .tar.gz to ``scratch`` -> its path."""
    target = scratch / path.stem
    with gzip.open(path) as source, open(target, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    return target
