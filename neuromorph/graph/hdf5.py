"""A graph as one HDF5 file: sparse, typed, checked. `docs/format.md` is its description for other languages."""

import os
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from neuromorph.errors import FormatError, GraphError
from neuromorph.files import atomic_write
from neuromorph.graph import container
from neuromorph.graph.container import MAX_BYTES, Group, expect, read
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import NUMBERS, ROUNDINGS, RULES, FixedPoint, Plasticity
from neuromorph.graph.populations import ADAPTATIONS, KINDS, RESETS, Population, parameters
from neuromorph.graph.projections import Projection

VERSION = 2
"""Graphs without plasticity are written as version 1, which older readers know."""
FORMS = {"reset": RESETS, "adaptation": ADAPTATIONS}
INTEGERS = tuple(np.dtype(f"<i{size}") for size in (1, 2, 4, 8))


def save(path: str | os.PathLike[str], graph: Graph) -> None:
    """Write a graph, atomically; equal graphs give equal bytes.

    Raises:
        FormatError: more than 4096 populations, projections or metadata entries.
    """
    atomic_write(path, to_bytes(graph))


def to_bytes(graph: Graph) -> bytes:
    """The file's bytes; see `save`."""
    populations = {p.name: _population(p, index) for index, p in enumerate(graph.populations)}
    projections = {p.name: _projection(p, index) for index, p in enumerate(graph.projections)}
    groups = {"populations": Group(groups=populations), "projections": Group(groups=projections), "metadata": Group(dict(graph.metadata))}
    version = VERSION if graph.plastic else 1
    return container.to_bytes("graph", version, Group({"dt": float(graph.dt), "precision": graph.precision}, groups=groups))


def load(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Graph:
    """Read a graph and check every rule again. `max_bytes`: the most its arrays may take in memory.

    Raises:
        FormatError: see `neuromorph.graph.container.read`; or the content is no valid graph (the place is named).
        FileNotFoundError: there is no such file.
    """
    tree = read(path, "graph", VERSION, max_bytes=max_bytes)
    try:
        return _graph(tree)
    except (FormatError, GraphError) as error:
        raise FormatError(f"{path}: {error}") from error


def _population(p: Population, index: int) -> Group:
    forms = {form: getattr(p, form) for form in p.FORMS}
    return Group({"type": type(p).__name__, "n": int(p.n), "index": index, **forms}, {k: _narrow(a) for k, a in parameters(p).items()})


def _projection(p: Projection, index: int) -> Group:
    arrays = {"indptr": p.indptr, "indices": p.indices, "weights": p.weights, "delays": p.delays}
    if p.signs is not None:
        arrays["signs"] = p.signs
    attributes = {"source": p.source, "target": p.target, "index": index, "weight_exp": int(p.weight_exp)}
    groups = {} if p.plasticity is None else {"plasticity": _plasticity(p.plasticity)}
    return Group({**attributes}, {name: _narrow(array) for name, array in arrays.items()}, groups)


def _plasticity(rule: Plasticity) -> Group:
    number = float if rule.fixed is None else int
    numbers = {name: number(getattr(rule, name)) for name in NUMBERS}
    fixed = {} if rule.fixed is None else {"fixed": Group(asdict(rule.fixed))}
    return Group({"rule": rule.rule, "third_factor": rule.third_factor, **numbers}, {"alpha": _narrow(rule.alpha)}, fixed)


def _narrow(array: np.ndarray) -> np.ndarray:
    """Integers in the smallest of int8, int16, int32, int64 that holds them all."""
    if array.dtype.kind != "i":
        return array
    low, high = array.min(initial=0), array.max(initial=0)
    return array.astype(next(d for d in INTEGERS if np.iinfo(d).min <= low and high <= np.iinfo(d).max))


def _graph(tree: Group) -> Graph:
    expect(tree, "/", {"dt": float, "precision": str}, groups=("populations", "projections", "metadata"))
    precision = _one_of(tree, "/", "precision", ("float", "integer"))
    number = np.dtype("<f8") if precision == "float" else np.dtype("<i8")
    populations = _ordered(tree, "populations", lambda name, node: _read_population(name, node, number))
    projections = _ordered(tree, "projections", lambda name, node: _read_projection(name, node, number))
    metadata = tree.groups["metadata"]
    expect(metadata, "/metadata", dict.fromkeys(metadata.attributes, str))
    graph = Graph(tree.attributes["dt"], populations, projections, metadata.attributes)  # pyright: ignore[reportArgumentType]
    if graph.precision != precision:
        raise FormatError(f"/@precision is {precision!r} but the arrays are those of a graph of {graph.precision}s.")
    return graph


def _ordered(tree: Group, kind: str, make: Any) -> tuple[Any, ...]:
    """The members of a group, in the order of their attribute `index`."""
    parent = tree.groups[kind]
    expect(parent, f"/{kind}", {}, groups=parent.groups)
    made = {int(node.attributes.get("index", -1)): make(name, node) for name, node in sorted(parent.groups.items())}
    if set(made) != set(range(len(parent.groups))):
        raise FormatError(f"/{kind}: the attributes index are {sorted(made)}; they must count 0..{len(parent.groups) - 1}.")
    return tuple(made[index] for index in range(len(made)))


def _read_population(name: str, node: Group, number: np.dtype) -> Population:
    place = f"/populations/{name}"
    kind = KINDS[_one_of(node, place, "type", tuple(KINDS))]
    expect(node, place, {"type": str, "n": int, "index": int, **dict.fromkeys(kind.FORMS, str)}, kind.PARAMETERS)
    forms = {form: _one_of(node, place, form, FORMS[form]) for form in kind.FORMS}
    n = node.attributes["n"]
    constants = {
        field: _column(node, place, field, n, np.dtype("<i8") if field == "n_ref" else number)  # pyright: ignore[reportArgumentType]
        for field in kind.PARAMETERS
    }
    return kind(name=name, n=n, **constants, **forms)  # pyright: ignore


def _read_projection(name: str, node: Group, number: np.dtype) -> Projection:
    place = f"/projections/{name}"
    signed = {"signs"} & set(node.arrays)
    attributes = {"source": str, "target": str, "index": int, "weight_exp": int}
    expect(node, place, attributes, {"indptr", "indices", "weights", "delays"} | signed, {"plasticity"} & set(node.groups))
    n, whole = len(node.arrays["indices"]), np.dtype("<i8")
    return Projection(
        name=name,
        source=str(node.attributes["source"]),
        target=str(node.attributes["target"]),
        indptr=_column(node, place, "indptr", len(node.arrays["indptr"]), whole),
        indices=_column(node, place, "indices", n, whole),
        weights=_column(node, place, "weights", n, number),
        delays=_column(node, place, "delays", n, whole),
        weight_exp=int(node.attributes["weight_exp"]),
        signs=_column(node, place, "signs", n, np.dtype("i1")) if signed else None,
        plasticity=_read_plasticity(node.groups["plasticity"], f"{place}/plasticity", n, number) if node.groups else None,
    )


def _read_plasticity(node: Group, place: str, n: int, number: np.dtype) -> Plasticity:
    kind = float if number == np.dtype("<f8") else int
    whole = kind is int
    expect(node, place, {"rule": str, "third_factor": str, **dict.fromkeys(NUMBERS, kind)}, {"alpha"}, {"fixed"} if whole else ())
    rule: Any = _one_of(node, place, "rule", RULES)
    return Plasticity(
        rule,
        _column(node, place, "alpha", n, number),
        third_factor=str(node.attributes["third_factor"]),
        fixed=_read_fixed(node.groups["fixed"], f"{place}/fixed") if whole else None,
        **{name: node.attributes[name] for name in NUMBERS},  # pyright: ignore[reportArgumentType]
    )


def _read_fixed(node: Group, place: str) -> FixedPoint:
    names = {f.name: str if f.name == "rounding" else int for f in fields(FixedPoint)}
    expect(node, place, names)
    _one_of(node, place, "rounding", ROUNDINGS)
    return FixedPoint(**node.attributes)  # pyright: ignore[reportArgumentType]


def _one_of(node: Group, place: str, name: str, allowed: tuple[str, ...]) -> Any:
    value = node.attributes.get(name)
    if value not in allowed:
        raise FormatError(f"{place}@{name} is {value!r}; allowed: {', '.join(allowed)}.")
    return value


def _column(node: Group, place: str, name: str, n: int, wanted: np.dtype) -> np.ndarray:
    """A one-dimensional array of n values; integers of any stored width are widened (or narrowed, checked) to `wanted`."""
    array = node.arrays[name]
    if array.shape != (n,):
        raise FormatError(f"{place}/{name} has shape {array.shape}; wanted ({n},).")
    if array.dtype != wanted and not (array.dtype.kind == wanted.kind == "i" and array.dtype.itemsize <= wanted.itemsize):
        raise FormatError(f"{place}/{name} is {array.dtype}; wanted {'integers' if wanted.kind == 'i' else wanted}.")
    return array.astype(wanted)
