"""The HDF5 layout of NIR 1.0 (Pedersen et al. 2024, doi 10.1038/s41467-024-52259-9), read without trusting it, and written.

What `graph.container` refuses is refused here too: links that are not hard, storage outside the file, cycles, sizes that the file does not
hold, numbers that are not finite. `nir.read` checks none of this.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import h5py
import numpy as np

from neuromorph.errors import FormatError
from neuromorph.graph import storage
from neuromorph.graph.container import MAX_BYTES

Value: TypeAlias = np.ndarray | str | int | float

NUMBERS = {np.dtype(f"<{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)} | {np.dtype(f"<f{size}") for size in (2, 4, 8)}
NUMBERS |= {np.dtype(np.bool_)}
MAX_NODES = 100_000
MAX_EDGES = 1_000_000
MAX_DEPTH = 16
MAX_TEXT = 60_000
MAX_DIMENSIONS = 8


@dataclass(frozen=True, eq=False)
class Node:
    """A node of a NIR graph: its `kind` ("LIF", ...), and its fields by name as the file has them."""

    kind: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class NIRGraph:
    """Nodes by name, nested graphs among them, and edges between names. `version`: that of the nir library that wrote the file, if told."""

    nodes: Mapping[str, "Node | NIRGraph"]
    edges: Sequence[tuple[str, str]]
    version: str = ""


def read(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> NIRGraph:
    """Read a NIR file. `max_bytes`: the most that all its arrays together may take in memory.

    Raises:
        FormatError: it is no NIR file, is damaged, or uses what is never read; the message gives the place inside the file.
        FileNotFoundError: there is no such file.
    """
    reader = _Reader(max_bytes)
    return storage.walked(path, reader, reader.file, " as NIR")


class _Reader(storage.Walk):
    """`nodes`: how many were met."""

    nodes = 0

    def file(self, file: Any) -> NIRGraph:
        if "node" not in file:
            raise FormatError("there is no /node: this is no NIR file (nir.write makes one).")
        version = self.text(storage.member(file, "version", "/version"), "/version") if "version" in file else ""
        found = self.node(self.group(file, "node", "/node"), "/node", 0)
        if isinstance(found, Node):
            raise FormatError(f"/node is a single {found.kind}; wrap it in a NIRGraph with an Input and an Output.")
        return NIRGraph(found.nodes, found.edges, version)

    def node(self, node: Any, place: str, depth: int) -> "Node | NIRGraph":
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise FormatError(f"{place}: deeper than {MAX_DEPTH} graphs, or more than {MAX_NODES} nodes.")
        kind = self.text(storage.member(node, "type", f"{place}/type"), f"{place}/type")
        if kind == "NIRGraph":
            return self.graph(node, place, depth)
        fields: dict[str, Value] = {}
        for name in node:
            if name not in ("type", "metadata"):
                fields[name] = self.value(storage.member(node, name, f"{place}/{name}"), f"{place}/{name}")
        return Node(kind, fields)

    def graph(self, node: Any, place: str, depth: int) -> NIRGraph:
        below = self.group(node, "nodes", f"{place}/nodes")
        nodes = {name: self.node(self.group(below, name, f"{place}/nodes/{name}"), f"{place}/nodes/{name}", depth + 1) for name in below}
        edges = self.edges(storage.member(node, "edges", f"{place}/edges"), f"{place}/edges")
        for end in (end for edge in edges for end in edge):
            if end not in nodes:
                raise FormatError(f"{place}/edges names {end!r}, which is no node; there are {', '.join(nodes)}.")
        return NIRGraph(nodes, edges)

    def group(self, parent: Any, name: str, place: str) -> Any:
        self.place = place
        found = storage.member(parent, name, place)
        self.meet(found, place)
        if not isinstance(found, h5py.Group):
            raise FormatError(f"{place} is a {type(found).__name__}, wanted a group.")
        return found

    def edges(self, data: Any, place: str) -> list[tuple[str, str]]:
        self.place = place
        if data.shape in ((0,), (0, 2)):
            return []
        if data.shape is None or len(data.shape) != 2 or data.shape[1] != 2 or data.shape[0] > MAX_EDGES:
            raise FormatError(f"{place} has shape {data.shape}; wanted (edges, 2), at most {MAX_EDGES} edges.")
        ends = self._strings(data, place)
        return [(str(source), str(target)) for source, target in zip(ends[::2], ends[1::2])]

    def text(self, data: Any, place: str) -> str:
        self.place = place
        if not isinstance(data, h5py.Dataset) or data.shape != ():
            raise FormatError(f"{place} is no single string.")
        return self._strings(data, place)[0]

    def _strings(self, data: Any, place: str) -> list[str]:
        """All strings of a dataset; those of variable length lie in the file itself, so that they are no longer than it."""
        self.meet(data, place)
        if h5py.check_string_dtype(data.dtype) is None or data.external or data.is_virtual or data.chunks:
            raise FormatError(f"{place} is of type {data.dtype}; wanted UTF-8 strings, kept plainly in this file.")
        raw = np.atleast_1d(np.asarray(data[()])).ravel()
        found = [value if isinstance(value, str) else bytes(value).decode("utf-8") for value in raw]
        if any(len(text) > MAX_TEXT or "\0" in text for text in found):
            raise FormatError(f"{place} holds a string of over {MAX_TEXT} characters, or with a NUL.")
        return found

    def value(self, data: Any, place: str) -> Value:
        self.place = place
        if not isinstance(data, h5py.Dataset):
            raise FormatError(f"{place} is a {type(data).__name__}; a node's fields are numbers, arrays and strings.")
        if h5py.check_string_dtype(data.dtype) is not None:
            return self.text(data, place)
        self.meet(data, place)
        self.promise(storage.promised(data, place, NUMBERS, (0, MAX_DIMENSIONS)), place)
        values = storage.array(data, place)
        return values.item() if values.ndim == 0 else values


def to_bytes(graph: NIRGraph, beside: bytes = b"", attributes: Mapping[str, str] | None = None) -> bytes:
    """The file's bytes, as `nir.write` lays them out. `beside`: an HDF5 file whose top groups are put beside /node; `attributes`: of the
    root.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("earliest", "v110")) as file:
        file.create_dataset("version", data=graph.version or "1.0.8", dtype=h5py.string_dtype())
        _write(file.create_group("node"), graph)
        for name, text in (attributes or {}).items():
            file.attrs[name] = text
        if beside:
            with h5py.File(io.BytesIO(beside), "r") as other:
                for name in other:
                    other.copy(name, file)
    return buffer.getvalue()


def _write(group: Any, node: Node | NIRGraph) -> None:
    text = h5py.string_dtype()
    if isinstance(node, Node):
        group.create_dataset("type", data=node.kind, dtype=text)
        for name, value in node.fields.items():
            packed = {"compression": "gzip", "shuffle": True} if isinstance(value, np.ndarray) and value.nbytes > 4096 else {}
            group.create_dataset(name, data=value, **packed)
        return
    group.create_dataset("type", data="NIRGraph", dtype=text)
    group.create_dataset("edges", data=np.array(node.edges, dtype=object).reshape(-1, 2), dtype=text)
    nodes = group.create_group("nodes")
    for name, child in node.nodes.items():
        _write(nodes.create_group(name), child)
