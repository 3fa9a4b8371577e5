"""What an untrusted HDF5 file may hand us: each function reads one thing after checking it, and follows nothing.

Errors name the place inside the file; `container.read` adds the file's name.
"""

import math
import os
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import h5py
import numpy as np
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

from neuromorph.errors import FormatError

Attribute: TypeAlias = str | int | float | bool
Made = TypeVar("Made")

DTYPES = {np.dtype(name).newbyteorder("<") for name in ("float64", "float32", "int64", "int32", "int16", "int8", "uint8")}
PIPELINE = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32)
MAX_ATTRIBUTE = 60_000  # bytes of one string
MAX_DIMENSIONS = 3


class Walk:
    """One walk over a file: where it is, which objects it met, how many bytes it has promised to read."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.promised = max_bytes, 0
        self.place = "/"
        self.met: set[int] = set()

    def meet(self, node: Any, place: str) -> None:
        """Refuse an object that was met before."""
        address = h5o.get_info(node.id).addr
        if address in self.met:
            raise FormatError(f"{place} is a second link to an object already read (a cycle or alias).")
        self.met.add(address)

    def promise(self, size: int, place: str) -> None:
        """Refuse what brings the file over its limit."""
        self.promised += size
        if self.promised > self.max_bytes:
            raise FormatError(f"{place} brings the file to {self.promised} bytes of arrays; at most {self.max_bytes} (max_bytes).")


def walked(path: str | os.PathLike[str], walk: Walk, make: Callable[[Any], Made], form: str = "") -> Made:
    """What `make` finds in a file, with every error of the HDF5 library told as one of the file. `form`: what it should be (" as NIR").

    Raises:
        FormatError: the file is damaged or refused.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            return make(file)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except PermissionError:
        raise
    except Exception as error:  # the HDF5 library raises many types on damaged files
        raise FormatError(f"{path}: {walk.place} cannot be read{form} ({type(error).__name__}: {error}).") from error


def member(parent: Any, name: str, place: str) -> Any:
    """The group or dataset behind a hard link; every other kind of link is refused unfollowed."""
    link = parent.get(name, getlink=True)
    if link is None:
        raise FormatError(f"{place} is missing.")
    if not isinstance(link, h5py.HardLink):
        raise FormatError(f"{place} is a {type(link).__name__}; only hard links are read.")
    found = parent[name]
    if not isinstance(found, (h5py.Group, h5py.Dataset)):
        raise FormatError(f"{place} is a {type(found).__name__}; allowed: groups and datasets.")
    return found


def attribute(node: Any, name: str, place: str) -> Attribute:
    """A single int64, float64, boolean or fixed-length UTF-8 string; `place` ends with `@name`."""
    if name not in node.attrs:
        raise FormatError(f"{place} is missing.")
    raw = node.attrs.get_id(name)
    if raw.shape != ():
        raise FormatError(f"{place} has shape {raw.shape}; attributes are single values.")
    if raw.get_storage_size() > MAX_ATTRIBUTE:
        raise FormatError(f"{place} has {raw.get_storage_size()} bytes; at most {MAX_ATTRIBUTE}.")
    kind = raw.dtype
    if kind.kind == "S" and not raw.get_type().is_variable_str():
        return bytes(node.attrs[name]).decode("utf-8")
    if kind not in (np.dtype("<i8"), np.dtype("<f8"), np.dtype(np.bool_)):
        raise FormatError(f"{place} is of type {kind}; allowed: fixed-length UTF-8 strings, int64, float64 and booleans.")
    value = node.attrs[name].item()
    if not math.isfinite(value):
        raise FormatError(f"{place} is {value}; numbers must be finite.")
    return value


def promised(data: Any, place: str, dtypes: Collection[np.dtype] = DTYPES, dimensions: tuple[int, int] = (1, MAX_DIMENSIONS)) -> int:
    """Bytes that reading a dataset takes, after refusing types, numbers of dimensions and storage that are never read."""
    if data.external:
        raise FormatError(f"{place} keeps its data in another file (external storage); only data inside the file is read.")
    if data.is_virtual:
        raise FormatError(f"{place} is a virtual dataset; only data inside the file is read.")
    if data.dtype not in dtypes:
        raise FormatError(f"{place} has type {data.dtype}; allowed: {', '.join(sorted(d.name for d in dtypes))}, little-endian.")
    if data.shape is None or not dimensions[0] <= len(data.shape) <= dimensions[1]:
        raise FormatError(f"{place} has shape {data.shape}; arrays have {dimensions[0]} to {dimensions[1]} dimensions.")
    chunk = data.chunks or data.shape
    return math.prod(-(-size // part) * part if part else 0 for size, part in zip(data.shape, chunk)) * data.dtype.itemsize


def array(data: Any, place: str) -> np.ndarray:
    """A dataset whose stored bytes are shown to be exactly what its shape claims, before anything is allocated for it."""
    size = math.prod(data.shape) * data.dtype.itemsize
    if data.chunks:
        _check_chunks(data, place)
    elif data.id.get_storage_size() != size:
        raise FormatError(f"{place} claims {size} bytes but stores {data.id.get_storage_size()}; the file is truncated or crafted.")
    values = data[...]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        where = tuple(int(x) for x in np.argwhere(~np.isfinite(values))[0])
        raise FormatError(f"{place}{list(where)} is {values[where]}; numbers must be finite.")
    return values


def _check_chunks(data: Any, place: str) -> None:
    """Every chunk is stored, through the allowed filters, and inflates to one chunk and not a byte more."""
    plist = data.id.get_create_plist()
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if filters != [f for f in PIPELINE if f in filters]:
        raise FormatError(f"{place} uses HDF5 filters {filters}; allowed: shuffle, deflate, fletcher32 (2, 1, 3), in this order.")
    expected = math.prod(-(-size // part) for size, part in zip(data.shape, data.chunks))
    if data.id.get_num_chunks() != expected:
        raise FormatError(f"{place} claims {expected} chunks but stores {data.id.get_num_chunks()}; the file is truncated or crafted.")
    size = math.prod(data.chunks) * data.dtype.itemsize
    trailer = 4 if h5py.h5z.FILTER_FLETCHER32 in filters else 0
    stored: list[Any] = []
    data.id.chunk_iter(stored.append)
    for chunk in stored:
        mask, raw = data.id.read_direct_chunk(chunk.chunk_offset)
        body = raw[: len(raw) - trailer]
        if mask or (_inflated(body, size) if h5py.h5z.FILTER_DEFLATE in filters else len(body)) != size:
            raise FormatError(f"{place}: chunk {chunk.chunk_offset} does not hold the {size} bytes of a chunk; it is damaged or crafted.")


def _inflated(body: bytes, limit: int) -> int:
    """Length of a deflated chunk, -1 where the stream does not end within `limit` bytes."""
    stream = zlib.decompressobj()
    try:
        length = len(stream.decompress(body, limit + 1))
    except zlib.error:
        return -1
    return length if stream.eof else -1
