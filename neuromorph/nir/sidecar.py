"""One file for both: NIR under /node for other tools, the whole graph under /neuromorph for this one, and a digest that ties them."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from neuromorph.errors import FormatError
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, load
from neuromorph.graph.container import MAX_BYTES
from neuromorph.graph.hdf5 import to_bytes as graph_bytes
from neuromorph.nir.exporter import Exported, export_nir
from neuromorph.nir.file import NIRGraph, Node, read, to_bytes
from neuromorph.nir.importer import Imported, import_nir
from neuromorph.nir.neurons import Stepping

DIGEST = "neuromorph.node.sha256"
"""Attribute of the file's root: of /node as it was written."""


def write_nir(path: str | os.PathLike[str], graph: Graph, *, lossy: bool = False) -> Exported:
    """Write a graph as NIR, atomically, with the graph itself beside it: `load_nir` gives it back equal, `neuromorph.load` too.

    Raises:
        GraphError: see `export_nir`; nothing is written.
    """
    made = export_nir(graph, lossy=lossy)
    atomic_write(path, to_bytes(made.graph, graph_bytes(graph), {DIGEST: digest(made.graph)}))
    return made


def load_nir(path: str | os.PathLike[str], stepping: Stepping | None = None, *, max_bytes: int = MAX_BYTES) -> Imported:
    """A NIR file as a graph: the one that `write_nir` put beside it, or, where there is none or another tool edited the NIR, an import.

    Raises:
        FormatError: the file cannot be read or holds what a graph cannot express; or `stepping` is needed and missing.
        FileNotFoundError: there is no such file.
    """
    found = read(path, max_bytes=max_bytes)
    beside = _beside(path)
    if beside is not None and beside == digest(found):
        return Imported(load(path, max_bytes=max_bytes), ("The graph is the one that neuromorph wrote beside the NIR.",))
    if stepping is None and beside is not None:
        stepping = Stepping(load(path, max_bytes=max_bytes).dt)
    if stepping is None:
        raise FormatError(f"{path}: NIR files do not carry the length of a step; give dt (1e-3 for 1 ms).")
    try:
        made = import_nir(found, stepping)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    edited = ("Another tool has edited the NIR since neuromorph wrote it: the graph beside it is not used, what only that had is lost.",)
    return Imported(made.graph, (edited if beside is not None else ()) + made.assumptions)


def _beside(path: str | os.PathLike[str]) -> str | None:
    """The digest that a file of `write_nir` carries."""
    with h5py.File(Path(path), "r", locking=False) as file:
        if "neuromorph" not in file or DIGEST not in file.attrs:
            return None
        return str(file.attrs[DIGEST])[:64]


def digest(graph: NIRGraph) -> str:
    """SHA-256 (hex) of a NIR graph, whatever the order of its nodes and edges."""
    sha = hashlib.sha256()
    for part in _canonical(graph):
        sha.update(len(part).to_bytes(8, "little") + part)
    return sha.hexdigest()


def _canonical(node: Node | NIRGraph) -> Iterator[bytes]:
    if isinstance(node, NIRGraph):
        for ends in sorted(node.edges):
            yield repr(ends).encode()
        for name, child in sorted(node.nodes.items()):
            yield name.encode()
            yield from _canonical(child)
        return
    yield node.kind.encode()
    for name, value in sorted(node.fields.items()):
        array = np.asarray(value) if not isinstance(value, str) else np.frombuffer(value.encode(), np.uint8)
        yield f"{name} {array.dtype.str} {array.shape}".encode()
        yield np.ascontiguousarray(array).tobytes()
