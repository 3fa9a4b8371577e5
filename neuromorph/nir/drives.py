"""What arrives at each neuron of a flat NIR graph: for every source and delay the matrix of weights from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from scipy import sparse

from neuromorph.errors import FormatError
from neuromorph.nir.file import Node
from neuromorph.nir.flat import Flat
from neuromorph.nir.neurons import ANALOG, SPIKING, neuron_shape
from neuromorph.nir.operators import LINEAR, Operator, Shape, operator

ALWAYS = ""
"""The source of biases: one neuron that fires in every step."""
SOURCES = ("Input", *SPIKING, *ANALOG)

Drive: TypeAlias = Mapping[tuple[str, int], sparse.csr_array]
"""Matrices [n, n_source] by the source's path and the delay [steps] on the way, 0 where the graph has none."""


@dataclass(eq=False)
class Arriving:
    """`shapes` of what each node gives; `drives` of what each neuron and Output gets, by path."""

    shapes: dict[str, Shape] = field(default_factory=dict[str, Shape])
    drives: dict[str, Drive] = field(default_factory=dict[str, Drive])


def arriving(flat: Flat, dt: float) -> Arriving:
    """Raises:
    FormatError: a node is of an unknown kind, its fields do not fit, linear nodes form a loop, or a delay is no multiple of dt.
    """
    found, given = Arriving(), dict[str, Drive]()
    for path, node in flat.nodes.items():
        if node.kind not in (*SOURCES, *LINEAR, "Output"):
            raise FormatError(f"NIR node {path!r} is of kind {node.kind!r}, which no graph can express.")
    _sources(flat, found)
    for path in _order(flat):
        node, sources = flat.nodes[path], flat.into(path)
        if not sources:
            raise FormatError(f"NIR node {path!r} ({node.kind}) gets no input; connect or remove it.")
        shape = _common(path, node, {source: found.shapes[source] for source in sources})
        total = _added([_given(source, flat, found, given) for source in sources])
        if node.kind in LINEAR:
            step = operator(path, node, shape)
            found.shapes[path], given[path] = step.shape, _applied(path, step, total, dt)
            continue
        found.drives[path] = total
        if node.kind == "Output":
            found.shapes[path] = shape
        elif math.prod(shape) != math.prod(found.shapes[path]):
            raise FormatError(f"NIR node {path!r} ({node.kind}) has {math.prod(found.shapes[path])} neurons, but {shape} arrives.")
    return found


def _sources(flat: Flat, found: Arriving) -> None:
    """Shapes of inputs, and of neurons whose parameters tell them; those of other neurons come from what arrives first."""
    for path, node in flat.nodes.items():
        if node.kind == "Input":
            found.shapes[path] = tuple(int(size) for size in np.atleast_1d(np.asarray(node.fields.get("shape", ()))))
            if not found.shapes[path] or min(found.shapes[path]) < 1:
                raise FormatError(f"NIR node {path!r} (Input): shape is {node.fields.get('shape')}; sizes are 1 or more.")
        elif node.kind in SOURCES:
            found.shapes[path] = neuron_shape(path, node, None)


def _order(flat: Flat) -> list[str]:
    """Nodes that get something, each linear node after the linear nodes before it."""
    state, order = dict[str, bool](), list[str]()
    into: dict[str, list[str]] = {}
    for source, target in flat.edges:
        into.setdefault(target, []).append(source)
    for start in (path for path, node in flat.nodes.items() if node.kind != "Input"):
        stack = [(start, iter(into.get(start, ())))]
        if start in state:
            continue
        state[start] = False
        while stack:
            path, rest = stack[-1]
            source = next(rest, None)
            if source is None:
                state[path] = True
                order.append(path)
                stack.pop()
            elif flat.nodes[source].kind in LINEAR and not state.get(source, False):
                if source in state:
                    raise FormatError(f"NIR: the linear nodes {source!r} ... {path!r} form a loop without a neuron; put one in.")
                state[source] = False
                stack.append((source, iter(into.get(source, ()))))
    return order


def _given(source: str, flat: Flat, found: Arriving, given: dict[str, Drive]) -> Drive:
    if flat.nodes[source].kind in SOURCES:
        return {(source, 0): sparse.csr_array(sparse.eye_array(math.prod(found.shapes[source])))}
    return given[source]


def _common(path: str, node: Node, shapes: Mapping[str, Shape]) -> Shape:
    sizes = {math.prod(shape) for shape in shapes.values()}
    if len(sizes) > 1:
        raise FormatError(f"NIR node {path!r} ({node.kind}) gets signals of the shapes {dict(shapes)}; they must be equal.")
    return max(shapes.values(), key=len)


def _added(drives: Sequence[Drive]) -> Drive:
    total: dict[tuple[str, int], sparse.csr_array] = {}
    for drive in drives:
        for key, matrix in drive.items():
            total[key] = total[key] + matrix if key in total else matrix
    return total


def _applied(path: str, step: Operator, drive: Drive, dt: float) -> Drive:
    """Everything through an operator, its bias added, each delay of its elements apart."""
    through = {key: step.matrix @ matrix for key, matrix in drive.items()}
    if step.bias is not None and step.bias.any():
        through = dict(_added([through, {(ALWAYS, 0): sparse.csr_array(step.bias[:, None])}]))
    if step.delays is None:
        return through
    steps = np.round(step.delays / dt).astype(np.int64)
    if np.any(np.abs(steps * dt - step.delays) > 1e-6 * dt):
        wrong = step.delays[np.abs(steps * dt - step.delays) > 1e-6 * dt][0]
        raise FormatError(f"NIR node {path!r} (Delay): a delay of {wrong:g} s is no multiple of dt, {dt:g} s; choose a dt that divides it.")
    parts = [
        {(source, delay + int(d)): sparse.csr_array(sparse.diags_array((steps == d).astype(np.float64)) @ matrix)}
        for (source, delay), matrix in through.items()
        for d in np.unique(steps)
    ]
    return _added(parts)
