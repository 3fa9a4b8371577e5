"""The one HDF5 dialect of this package: a tree of groups, attributes and one- to three-dimensional number arrays.

Writing is deterministic (equal trees give equal bytes) and atomic. Reading trusts nothing: no link is followed, no
storage outside the file is opened, no size is believed before it is checked, and a SHA-256 over the content must match.
`docs/format.md` describes the layout for other languages.
"""

import hashlib
import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from neuromorph.errors import FormatError
from neuromorph.files import atomic_write
from neuromorph.graph import storage
from neuromorph.graph.storage import DTYPES, MAX_ATTRIBUTE, MAX_DIMENSIONS, Attribute

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.>-]{0,255}")
CHUNK = 2**20  # bytes
SMALL = 2**12  # bytes; arrays up to this size are stored plainly, packing would make them larger
MAX_BYTES = 2**32  # of arrays in one file, unless the caller allows more
MAX_MEMBERS = 4096  # members, and attributes, of one group
MAX_DEPTH = 6


@dataclass(frozen=True)
class Group:
    """A node of the tree: attributes, arrays and child groups by name."""

    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    arrays: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    groups: dict[str, "Group"] = field(default_factory=dict[str, "Group"])

    def __post_init__(self) -> None:
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in self.attributes.items()}
        object.__setattr__(self, "attributes", plain)


def write(path: str | os.PathLike[str], kind: str, version: int, tree: Group) -> None:
    """Write `tree` as a file of `kind` ("graph", "spikes", ...), atomically.

    Raises:
        FormatError: the tree holds what `read` would refuse; the message names the place. Nothing is written.
    """
    atomic_write(path, to_bytes(kind, version, tree))


def to_bytes(kind: str, version: int, tree: Group) -> bytes:
    """The file's bytes; equal trees give equal bytes with the same HDF5 library."""
    _check(tree, "", 0)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("earliest", "v110")) as file:
        root = file.create_group("neuromorph")
        header = Group({"format": f"neuromorph.{kind}", "version": version, "sha256": digest(kind, version, tree)})
        _write_group(root, header)
        _write_group(root.create_group("content"), tree)
    return buffer.getvalue()


def _check(tree: Group, place: str, depth: int) -> None:
    """Refuse to write what cannot be read back."""
    if depth > MAX_DEPTH or max(len(tree.attributes), len(tree.arrays) + len(tree.groups)) > MAX_MEMBERS:
        raise FormatError(f"{place or '/'} is deeper than {MAX_DEPTH} groups or has over {MAX_MEMBERS} members; it cannot be written.")
    for name in (*tree.attributes, *tree.arrays, *tree.groups):
        if not NAME.fullmatch(name):
            raise FormatError(f"{place}/{name!r}: a name has 1-256 of A-Z a-z 0-9 _ . > - and starts with a letter, digit or _.")
    for name, value in tree.attributes.items():
        if isinstance(value, str):
            if "\0" in value or len(value.encode()) > MAX_ATTRIBUTE:
                raise FormatError(f"{place}@{name}: a string has no NUL and at most {MAX_ATTRIBUTE} bytes; it cannot be written.")
        elif not math.isfinite(value) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
            raise FormatError(f"{place}@{name} is {value}; numbers must be finite, and integers have 64 bits.")
    for name, array in tree.arrays.items():
        if array.dtype not in DTYPES or not 1 <= array.ndim <= MAX_DIMENSIONS:
            raise FormatError(f"{place}/{name} is {array.dtype} of shape {array.shape}; it cannot be written, see docs/format.md.")
        if not np.isfinite(array).all():
            raise FormatError(f"{place}/{name} holds NaN or infinity; numbers must be finite.")
    for name, child in tree.groups.items():
        _check(child, f"{place}/{name}", depth + 1)


def _write_group(target: Any, tree: Group) -> None:
    for name, value in sorted(tree.attributes.items()):
        data = value.encode() if isinstance(value, str) else value
        if isinstance(data, bytes):
            size = max(1, len(data))
            target.attrs.create(name, np.array(data, dtype=f"S{size}"), dtype=h5py.string_dtype("utf-8", size))
        else:
            target.attrs[name] = data
    for name, array in sorted(tree.arrays.items()):
        packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True, "chunks": _chunks(array)}
        target.create_dataset(name, data=array, **(packed if array.nbytes > SMALL else {}))
    for name, child in sorted(tree.groups.items()):
        _write_group(target.create_group(name), child)


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    """At most 1 MiB a chunk, long in the last axes."""
    shape: list[int] = []
    room = CHUNK // array.itemsize
    for size in reversed(array.shape):
        shape.append(max(1, min(size, room)))
        room //= shape[-1]
    return tuple(reversed(shape))


def digest(kind: str, version: int, tree: Group) -> str:
    """SHA-256 (hex) of header, names, attributes, dtypes, shapes and little-endian data, in sorted order."""
    sha = hashlib.sha256(f"neuromorph.{kind} {version}\n".encode())
    for line, data in _canonical(tree, ""):
        sha.update(line.encode() + b"\n" + data)
    return sha.hexdigest()


def _canonical(tree: Group, place: str) -> Iterator[tuple[str, bytes]]:
    for name, value in sorted(tree.attributes.items()):
        kind = type(value).__name__
        data = value.encode() if isinstance(value, str) else np.asarray(value, dtype="<f8" if kind == "float" else "<i8").tobytes()
        yield f"{place}@{name} {kind} {len(data)}", data
    for name, array in sorted(tree.arrays.items()):
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        yield f"{place}/{name} {little.dtype.str.lstrip('<|')} {'x'.join(map(str, little.shape))}", little.tobytes()
    for name, child in sorted(tree.groups.items()):
        yield f"{place}/{name}/", b""
        yield from _canonical(child, f"{place}/{name}")


def expect(node: Group, place: str, attributes: dict[str, type], arrays: Iterable[str] = (), groups: Iterable[str] = ()) -> None:
    """Refuse a group that has anything but these members and attributes of these types, with its place named."""
    wanted = {**attributes, **dict.fromkeys(arrays, "array"), **dict.fromkeys(groups, "group")}
    found: dict[str, object] = {name: type(value) for name, value in node.attributes.items()}
    found |= {**dict.fromkeys(node.arrays, "array"), **dict.fromkeys(node.groups, "group")}
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            got, want = (x.__name__ if isinstance(x, type) else x or "nothing" for x in (found.get(name), wanted.get(name)))
            raise FormatError(f"{place}: {name} is {got}, wanted {want}; see docs/format.md.")


def read(path: str | os.PathLike[str], kind: str, version: int, *, max_bytes: int = MAX_BYTES) -> Group:
    """Read a file of `kind`, written by `version` or older, after checking everything about it.

    `max_bytes`: the most that all arrays together may take in memory (4 GiB unless told).

    Raises:
        FormatError: not HDF5, another kind, newer, damaged, or using what this reader refuses (soft, external and
            cyclic links, external or virtual storage, object types, unknown filters, unallocated or oversized arrays,
            non-finite numbers). The message gives the place inside the file.
        FileNotFoundError: there is no such file.
    """
    reader = _Reader(max_bytes)
    return storage.walked(path, reader, lambda file: reader.file(file, kind, version))


class _Reader(storage.Walk):
    def file(self, file: Any, kind: str, version: int) -> Group:
        self.place = "/neuromorph"
        root = storage.member(file, "neuromorph", self.place)
        if not isinstance(root, h5py.Group):
            raise FormatError(f"{self.place} is a {type(root).__name__}, wanted a group.")
        found, number, sha = (storage.attribute(root, name, f"/neuromorph@{name}") for name in ("format", "version", "sha256"))
        if found != f"neuromorph.{kind}":
            raise FormatError(f"/neuromorph holds {found!r}, wanted 'neuromorph.{kind}'; give a {kind} file.")
        if type(number) is not int or number < 1:
            raise FormatError(f"/neuromorph@version is {number!r}; versions count from 1.")
        if number > version:
            raise FormatError(f"format version {number} is newer than this neuromorph reads ({version}); update neuromorph.")
        if extra := {*root.attrs, *root} - {"format", "version", "sha256", "content"}:
            raise FormatError(f"/neuromorph holds {', '.join(sorted(extra))}; allowed: format, version, sha256 and content.")
        self.place = "/neuromorph/content"
        content = storage.member(root, "content", self.place)
        if not isinstance(content, h5py.Group):
            raise FormatError(f"{self.place} is a {type(content).__name__}, wanted a group.")
        tree = self.group(content, self.place, 0)
        self.place = "/neuromorph/content"
        if sha != digest(kind, number, tree):
            raise FormatError("the content does not match its SHA-256; the file was damaged or edited. Export it again.")
        return tree

    def group(self, node: Any, place: str, depth: int) -> Group:
        self.meet(node, place)
        if depth > MAX_DEPTH:
            raise FormatError(f"{place} is nested deeper than {MAX_DEPTH} groups.")
        if len(node) > MAX_MEMBERS or len(node.attrs) > MAX_MEMBERS:
            raise FormatError(f"{place} has {len(node)} members and {len(node.attrs)} attributes; at most {MAX_MEMBERS} each.")
        tree = Group()
        for name in node.attrs:
            self.place = f"{place}@{name}"
            tree.attributes[name] = storage.attribute(node, name, self.place)
        for name in node:
            below = self.place = f"{place}/{name}"
            child = storage.member(node, name, below)
            if isinstance(child, h5py.Group):
                tree.groups[name] = self.group(child, below, depth + 1)
            else:
                tree.arrays[name] = self.array(child, below)
        return tree

    def array(self, data: Any, place: str) -> np.ndarray:
        self.meet(data, place)
        self.promise(storage.promised(data, place), place)
        return storage.array(data, place)
