"""Texts in a lazy-load database of R (Rdata.rdb), read without R (R Internals, sections 1.8 and 1.2.3).

The database is a row of entries: length unpacked (4 bytes, big-endian) and a zlib stream. An entry is one object in R's XDR
serialisation; here, a vector of texts, its lines.
"""

import struct
import zlib

from neuromorph.errors import DataError

HEADER = b"X\n"
TEXTS, TEXT = 16, 9
"""Types of a vector of texts and of one text (STRSXP, CHARSXP), in the lowest byte of their flags."""
LARGEST = 2**26
"""Bytes of an entry; more is taken for damage."""


def texts_of(database: bytes, name: str) -> list[list[bytes]]:
    """The lines of every text, in the order of the file; `name` is what messages call it.

    Raises:
        DataError: damage, or an object that is not a vector of texts.
    """
    found: list[list[bytes]] = []
    try:
        while database:
            entry, database = _unpacked(database)
            found.append(_lines(entry))
    except (zlib.error, struct.error, ValueError) as error:
        raise DataError(f"{name} is no lazy-load database of texts: {error}; it is damaged or another file.") from error
    return found


def _unpacked(database: bytes) -> tuple[bytes, bytes]:
    """The first entry and what comes after it."""
    (length,) = struct.unpack_from(">I", database)
    if length > LARGEST:
        raise ValueError(f"an entry says that it has {length:,} bytes")
    unpacker = zlib.decompressobj()
    entry = unpacker.decompress(database[4:], length + 1)
    if len(entry) != length or not unpacker.eof:
        raise ValueError(f"an entry has other than the {length:,} bytes that it says")
    return entry, unpacker.unused_data


def _lines(entry: bytes) -> list[bytes]:
    """After the header: version, R's version, least version (and from 3 on, an encoding), the vector, nothing else."""
    if not entry.startswith(HEADER):
        raise ValueError(f"an entry starts with {entry[:2]!r} instead of {HEADER!r}")
    (version, _, _), place = struct.unpack_from(">3i", entry, 2), 14
    if version >= 3:
        place += 4 + _length(entry, place)
    flags, count = struct.unpack_from(">2i", entry, place)
    if flags & 0xFF != TEXTS:
        raise ValueError(f"an entry is of type {flags & 0xFF}, not a vector of texts ({TEXTS})")
    lines: list[bytes] = []
    place += 8
    for _ in range(count):
        (flags,) = struct.unpack_from(">i", entry, place)
        length = _length(entry, place + 4)
        if flags & 0xFF != TEXT or place + 8 + length > len(entry):
            raise ValueError(f"line {len(lines) + 1} of an entry is no text, or ends after it")
        lines.append(entry[place + 8 : place + 8 + length])
        place += 8 + length
    if place != len(entry):
        raise ValueError(f"{len(entry) - place} bytes are left after the last line of an entry")
    return lines


def _length(entry: bytes, place: int) -> int:
    (length,) = struct.unpack_from(">i", entry, place)
    if length < 0:
        raise ValueError(f"a length of {length}")
    return length
