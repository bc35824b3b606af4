"""Find what was downloaded: an archive, or the folder that was unpacked from it."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from san.errors import UserError

from .archives import list_archive
from .blob import Blob


@dataclass(frozen=True)
class Download:
    """Something that a data set's authors publish.

    Attributes:
        archive: its official file name.
        inside: the folder inside the archive that holds the files; "" for its top.
        folders: where that folder may lie unpacked, below the root or the folder of archives.
        url: where to get it.
        others: what is easily mistaken for it, {archive or folder: what that is}.
    """

    archive: str
    inside: str
    folders: tuple[str, ...]
    url: str
    others: tuple[tuple[str, str], ...] = ()


class Sources:
    """Opens each download once; a context, which removes what was decompressed on the way.

    Args:
        root (Path): folder of all data sets.
        archives (Path): folder with the archives or what was unpacked from them.
    """

    def __init__(self, root, archives):
        self.root, self._places = root, list(dict.fromkeys((archives, root)))
        self._opened, self._scratch = {}, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._scratch:
            self._scratch.cleanup()

    def open(self, download):
        """Files of a download: from the archive where it is there, else from a folder.

        Returns:
            ArchiveFiles | FolderFiles.
        Raises:
            UserError: neither is there, or the archive is damaged or another one.
        """
        if download not in self._opened:
            self._opened[download] = self._open(download)
        return self._opened[download]

    def has(self, download):
        """True if the archive or a folder is there."""
        return self._find_archive(download) is not None or self._find_folder(download) is not None

    def _open(self, download):
        if archive := self._find_archive(download):
            return ArchiveFiles(archive, download, self._make_scratch(archive))
        if folder := self._find_folder(download):
            return FolderFiles(folder, download)
        raise UserError(self._missing(download))

    def _find_archive(self, download):
        """Beside the unpacked folder's place, or directly in a place."""
        folders = ["", *(str(Path(folder).parent) for folder in download.folders)]
        paths = (place / folder / download.archive for place in self._places for folder in folders)
        return next((path for path in paths if path.is_file()), None)

    def _find_folder(self, download):
        paths = (place / folder for place in self._places for folder in download.folders)
        return next((path for path in paths if path.is_dir() and any(path.iterdir())), None)

    def _missing(self, download):
        places = " or ".join(map(str, self._places))
        message = (
            f"{download.archive} is not in {places}, nor unpacked there as {download.folders[0]}/; "
            f"download it from {download.url} into that folder, or name the folder that has it "
            "with --archives"
        )
        for name, what in download.others:
            if found := self._find_other(name, download.folders):
                message += f". What is there is {found}, but that is {what}"
        return message

    def _find_other(self, name, folders):
        near = ["", *(str(Path(folder).parent) for folder in folders)]
        paths = (place / folder / name for place in self._places for folder in near)
        return next((path for path in paths if path.exists()), None)

    def _make_scratch(self, archive):
        """Folder for the decompressed form of a .tar.gz, made when there is need."""
        if self._scratch is None and archive.suffix == ".gz":
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                self._scratch = tempfile.TemporaryDirectory(prefix=".prepare-", dir=self.root)
            except OSError as error:
                raise UserError(
                    f"cannot write to {self.root} ({error.strerror}): check the rights, or choose "
                    "another --root"
                ) from error
        return Path(self._scratch.name) if self._scratch else None


class _Files:
    def need(self, name):
        """Blob of a file without which nothing can be done.

        Raises:
            UserError: it is missing.
        """
        blob = self.get(name)
        if blob is None:
            raise UserError(f"{self.where} holds no {name}; {self.remedy}")
        return blob


class ArchiveFiles(_Files):
    """Files inside an archive.

    Attributes:
        where (Path): the archive.
        remedy (str): what to do about missing files.
    """

    def __init__(self, archive, download, scratch):
        blobs = list_archive(archive, scratch)
        top = f"{download.inside}/" if download.inside else ""
        self.where = archive
        self.remedy = f"download {download.archive} anew from {download.url}"
        self._blobs = {
            name.removeprefix(top): blob for name, blob in blobs.items() if name.startswith(top)
        }
        if not self._blobs:
            depth = top.count("/")
            found = sorted({"/".join(name.split("/")[:depth]) for name in blobs})
            raise UserError(
                f"{archive} holds {', '.join(found[:3]) or 'no files'} and not {top}: it is not "
                f"the published {download.archive}; {self.remedy}"
            )

    def names(self, folder, suffix):
        """Names of the files at any depth of a folder that end so, less folder and suffix."""
        return sorted(
            name.removeprefix(folder).removesuffix(suffix)
            for name in self._blobs
            if name.startswith(folder) and name.endswith(suffix)
        )

    def get(self, name):
        """Blob | None."""
        return self._blobs.get(name)


class FolderFiles(_Files):
    """Files of an unpacked folder; attributes and methods as of `ArchiveFiles`."""

    def __init__(self, folder, download):
        self.where = folder
        self.remedy = f"unpack {download.archive} ({download.url}) anew"

    def names(self, folder, suffix):
        top = self.where / folder
        return sorted(
            Path(parent, name).relative_to(top).as_posix().removesuffix(suffix)
            for parent, _, names in os.walk(top, followlinks=True)
            for name in names
            if name.endswith(suffix) and not name.startswith(".")
        )

    def get(self, name):
        path = self.where / name
        return Blob(path, path.stat().st_size) if path.is_file() else None
