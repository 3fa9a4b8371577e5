"""The one HDF5 dialect of this package: a tree of groups, attributes and one- to three-dimensional number arrays.

Writing is deterministic (equal trees give equal bytes) and atomic. Reading trusts nothing: no link is followed, no
storage outside the file is opened, no size is believed before it is checked, and a SHA-256 over the content must match.
`docs/format.md` describes the layout for other languages.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neuromorph.errors import FormatError
from neuromorph.files import atomic_write

type Attribute = str | int | float | bool

DTYPES = {np.dtype(kind) for kind in ("<f8", "<f4", "<i8", "<i4", "<i2", "<i1", "|i1", "|u1")}
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
MAX_BYTES = 2**36  # 64 GiB of arrays
MAX_MEMBERS = 4096  # members of one group
MAX_DEPTH = 6
MAX_ATTRIBUTE = 2**20  # characters
DEFLATE_LIMIT = 1100  # deflate cannot shrink below 1/1032


@dataclass(frozen=True)
class Group:
    """A node of the tree: attributes, arrays and child groups by name."""

    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    arrays: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    groups: dict[str, "Group"] = field(default_factory=dict[str, "Group"])


def write(path: str | os.PathLike[str], kind: str, version: int, tree: Group) -> None:
    """Write `tree` as a file of `kind` ("graph", "spikes", ...), atomically."""
    atomic_write(path, to_bytes(kind, version, tree))


def to_bytes(kind: str, version: int, tree: Group) -> bytes:
    """The file's bytes; equal trees give equal bytes with the same HDF5 library."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("earliest", "v110")) as file:
        root = file.create_group("neuromorph")
        root.attrs["format"] = f"neuromorph.{kind}"
        root.attrs["version"] = np.int64(version)
        root.attrs["sha256"] = digest(tree)
        _write_group(root.create_group("content"), tree)
    return buffer.getvalue()


def _write_group(target: Any, tree: Group) -> None:
    for name, value in sorted(tree.attributes.items()):
        target.attrs[name] = value
    for name, array in sorted(tree.arrays.items()):
        if array.size:
            target.create_dataset(name, data=array, chunks=_chunks(array), compression="gzip", compression_opts=4, shuffle=True, fletcher32=True)
        else:
            target.create_dataset(name, data=array)
    for name, child in sorted(tree.groups.items()):
        _write_group(target.create_group(name), child)


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    """Whole rows, about 1 MiB a chunk."""
    row = max(1, array[0].size)
    return (max(1, min(len(array), 2**20 // (row * array.itemsize) or 1)), *array.shape[1:])


def digest(tree: Group) -> str:
    """SHA-256 (hex) of names, attributes, dtypes, shapes and little-endian data, in sorted order."""
    sha = hashlib.sha256()
    for line, data in _canonical(tree, ""):
        sha.update(line.encode() + b"\n")
        sha.update(data)
    return sha.hexdigest()


def _canonical(tree: Group, place: str) -> Iterator[tuple[str, bytes]]:
    for name, value in sorted(tree.attributes.items()):
        kind = "str" if isinstance(value, str) else "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"
        data = value.encode() if isinstance(value, str) else np.asarray(value, dtype="<f8" if kind == "float" else "<i8").tobytes()
        yield f"{place}@{name} {kind} {len(data)}", data
    for name, array in sorted(tree.arrays.items()):
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        yield f"{place}/{name} {little.dtype.str.lstrip('<|')} {'x'.join(map(str, little.shape))}", little.tobytes()
    for name, child in sorted(tree.groups.items()):
        yield f"{place}/{name}/", b""
        yield from _canonical(child, f"{place}/{name}")


def read(path: str | os.PathLike[str], kind: str, version: int) -> Group:
    """Read a file of `kind`, written by `version` or older, after checking everything about it.

    Raises:
        FormatError: not HDF5, another kind, newer, damaged, or using what this reader refuses (soft, external and
            cyclic links, external or virtual storage, object types, unknown filters, unallocated or oversized arrays,
            non-finite numbers). The message gives the place inside the file.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r") as file:
            root = _member(path, file, "neuromorph", h5py.Group)
            _check_header(path, root, kind, version)
            tree = _Reader(path).group(_member(path, root, "content", h5py.Group), "/neuromorph/content", 0)
            stored = _attribute(path, root, "sha256", "/neuromorph")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: not a readable neuromorph {kind} file ({error}).") from error
    if stored != digest(tree):
        raise FormatError(f"{path}: the content does not match its SHA-256; the file was damaged or edited. Export it again.")
    return tree


def _check_header(path: Path, root: Any, kind: str, version: int) -> None:
    found = _attribute(path, root, "format", "/neuromorph")
    if found != f"neuromorph.{kind}":
        raise FormatError(f"{path}: /neuromorph holds {found!r}, wanted 'neuromorph.{kind}'; give a {kind} file.")
    number = _attribute(path, root, "version", "/neuromorph")
    if not isinstance(number, int) or number < 1:
        raise FormatError(f"{path}: /neuromorph@version is {number!r}; versions count from 1.")
    if number > version:
        raise FormatError(f"{path}: format version {number} is newer than this neuromorph reads ({version}); update neuromorph.")


def _member(path: Path, parent: Any, name: str, wanted: type) -> Any:
    """A hard-linked member of a group, of the wanted class, without following any other kind of link."""
    place = f"{parent.name.rstrip('/')}/{name}"
    link = parent.get(name, getlink=True)
    if link is None:
        raise FormatError(f"{path}: {place} is missing.")
    if not isinstance(link, h5py.HardLink):
        raise FormatError(f"{path}: {place} is a {type(link).__name__}; only hard links are read.")
    member = parent[name]
    if not isinstance(member, wanted):
        raise FormatError(f"{path}: {place} is a {type(member).__name__}, wanted a {wanted.__name__}.")
    return member


def _attribute(path: Path, node: Any, name: str, place: str) -> Attribute:
    if name not in node.attrs:
        raise FormatError(f"{path}: {place}@{name} is missing.")
    space = node.attrs.get_id(name)
    if space.shape != () or space.get_storage_size() > MAX_ATTRIBUTE:
        raise FormatError(f"{path}: {place}@{name} has shape {space.shape}; attributes are single values.")
    kind = space.dtype
    if kind.hasobject and h5py.check_string_dtype(kind) is None:
        raise FormatError(f"{path}: {place}@{name} is of an object type; allowed: strings and numbers.")
    value = node.attrs[name]
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        if len(value) > MAX_ATTRIBUTE:
            raise FormatError(f"{path}: {place}@{name} has {len(value)} characters; at most {MAX_ATTRIBUTE}.")
        return value
    plain = value.item()
    if not isinstance(plain, (bool, int, float)):
        raise FormatError(f"{path}: {place}@{name} is of type {kind}; allowed: strings and numbers.")
    if isinstance(plain, float) and not np.isfinite(plain):
        raise FormatError(f"{path}: {place}@{name} is {plain}; numbers must be finite.")
    return plain


class _Reader:
    """One walk over a file: remembers which objects it met (cycles) and how many bytes it has promised to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: set[int] = set()
        self.total = 0

    def group(self, node: Any, place: str, depth: int) -> Group:
        self._once(node, place)
        if depth > MAX_DEPTH:
            raise FormatError(f"{self.path}: {place} is nested deeper than {MAX_DEPTH} groups.")
        if len(node) > MAX_MEMBERS or len(node.attrs) > MAX_MEMBERS:
            raise FormatError(f"{self.path}: {place} has {len(node)} members; at most {MAX_MEMBERS}.")
        tree = Group({name: _attribute(self.path, node, name, place) for name in node.attrs})
        for name in node:
            member = _member(self.path, node, name, object)
            if isinstance(member, h5py.Group):
                tree.groups[name] = self.group(member, f"{place}/{name}", depth + 1)
            elif isinstance(member, h5py.Dataset):
                tree.arrays[name] = self.array(member, f"{place}/{name}")
            else:
                raise FormatError(f"{self.path}: {place}/{name} is a {type(member).__name__}; allowed: groups and datasets.")
        return tree

    def array(self, data: Any, place: str) -> np.ndarray:
        self._once(data, place)
        self._check_storage(data, place)
        array = data[...]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            where = tuple(int(x) for x in np.argwhere(~np.isfinite(array))[0])
            raise FormatError(f"{self.path}: {place}{list(where)} is {array[where]}; numbers must be finite.")
        return array

    def _once(self, node: Any, place: str) -> None:
        address = h5py.h5o.get_info(node.id).addr
        if address in self.seen:
            raise FormatError(f"{self.path}: {place} is a second link to an object already read (a cycle or alias).")
        self.seen.add(address)

    def _check_storage(self, data: Any, place: str) -> None:
        def refuse(why: str) -> FormatError:
            return FormatError(f"{self.path}: {place} {why}")

        if data.external:
            raise refuse("keeps its data in another file (external storage); only data inside the file is read.")
        if data.is_virtual:
            raise refuse("is a virtual dataset; only data inside the file is read.")
        if data.dtype not in DTYPES:
            raise refuse(f"has type {data.dtype}; allowed: {', '.join(sorted(d.name for d in DTYPES))}.")
        if not 1 <= data.ndim <= 3:
            raise refuse(f"has {data.ndim} dimensions; allowed: 1 to 3.")
        size = data.size * data.dtype.itemsize
        self.total += size
        if self.total > MAX_BYTES:
            raise refuse(f"brings the file to {self.total} bytes of arrays; at most {MAX_BYTES}.")
        plist = data.id.get_create_plist()
        filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
        if filters - FILTERS:
            raise refuse(f"uses HDF5 filter {sorted(filters - FILTERS)}; allowed: gzip, shuffle, fletcher32.")
        stored = data.id.get_storage_size()
        limit = DEFLATE_LIMIT if h5py.h5z.FILTER_DEFLATE in filters else 1
        if size > stored * limit:
            raise refuse(f"claims {size} bytes but stores {stored}; the file is truncated or crafted.")
