"""One source file: on disk, or inside a zip or tar archive, read at its place without unpacking.

A blob knows where its bytes lie, so that any process reads any of them, in any order, without a
table of contents: that of a large zip takes seconds and a gigabyte.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from san.errors import UserError

STORED, DEFLATED = 0, 8  # zip compression methods
_ZIP_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., lengths of name and extra field


@dataclass(frozen=True, slots=True)  # there may be a million
class Blob:
    """Where the bytes of a source file are.

    Attributes:
        path: the file itself, or the archive that holds it (a .tar.gz: its decompressed form).
        size: number of bytes, uncompressed.
        archive: the archive as downloaded; None for a file of its own.
        member: name inside the archive.
        offset: where the data begin in a tar; where the local header begins in a zip.
        zip_method, zip_size, zip_crc: how, on how many bytes and with which checksum a zip holds
            the data; ``zip_method`` is None elsewhere.
    """

    path: Path
    size: int
    archive: Path | None = None
    member: str = ""
    offset: int = 0
    zip_method: int | None = None
    zip_size: int = 0
    zip_crc: int = 0

    def __str__(self):
        return f"{self.archive}: {self.member}" if self.archive else str(self.path)

    def read(self):
        """All bytes.

        Raises:
            UserError: the file is gone, cut off, or its bytes do not have the archive's checksum.
        """
        try:
            with open(self.path, "rb") as file:
                data = self._read_zip(file) if self.zip_method is not None else self._read(file)
        except (OSError, struct.error, zlib.error) as error:
            raise UserError(f"{self}: cannot read ({error}); {self.remedy}") from error
        if len(data) != self.size:
            raise UserError(f"{self}: {len(data)} bytes instead of {self.size}; {self.remedy}")
        return data

    @property
    def remedy(self):
        """What to do when the bytes are no good."""
        if self.archive:
            return f"download {self.archive.name} anew"
        return "unpack this file anew from its archive"

    def _read(self, file):
        file.seek(self.offset)
        return file.read(self.size)

    def _read_zip(self, file):
        file.seek(self.offset)
        header = file.read(_ZIP_LOCAL_HEADER.size)
        signature, name_size, extra_size = _ZIP_LOCAL_HEADER.unpack(header)
        if signature != b"PK\3\4":
            raise zlib.error("no file begins where the archive's table of contents says")
        file.seek(name_size + extra_size, 1)
        data = file.read(self.zip_size)
        if self.zip_method == DEFLATED:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data)
        if zlib.crc32(data) != self.zip_crc:
            raise zlib.error("wrong checksum")
        return data
