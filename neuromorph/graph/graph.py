"""The graph: populations, projections and the length of a step. It never knows who made it or who runs it."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph import validate
from neuromorph.graph.plasticity import NUMBERS, Plasticity
from neuromorph.graph.populations import LI, Input, Neurons, Population, parameters
from neuromorph.graph.projections import Projection


@dataclass(frozen=True, eq=False)
class Graph:
    """A network, valid by construction (every rule of `graph/validate.py` holds).

    `dt` [s]; `metadata`: strings by name, told to people, never read by a simulator. Two graphs are equal when every
    array, form, name, order and metadata entry is.

    Raises:
        GraphError: a rule is broken; the message names the population or projection.
    """

    dt: float
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", dict(self.metadata))
        validate.check(self.dt, self.populations, self.projections, self.metadata)

    @property
    def precision(self) -> Literal["float", "integer"]:
        return "integer" if validate.precision_of(self.populations, self.projections) == "integer" else "float"

    def population(self, name: str) -> Population:
        for population in self.populations:
            if population.name == name:
                return population
        raise GraphError(f"Graph: no population {name!r}; there are {', '.join(p.name for p in self.populations)}.")

    def projection(self, name: str) -> Projection:
        for projection in self.projections:
            if projection.name == name:
                return projection
        raise GraphError(f"Graph: no projection {name!r}; there are {', '.join(p.name for p in self.projections)}.")

    def incoming(self, name: str) -> tuple[Projection, ...]:
        """Projections onto a population, in the graph's order (the order in which every simulator sums them)."""
        return tuple(p for p in self.projections if p.target == name)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(p for p in self.populations if isinstance(p, Input))

    @property
    def readouts(self) -> tuple[LI, ...]:
        return tuple(p for p in self.populations if isinstance(p, LI))

    @property
    def neurons(self) -> tuple[Neurons, ...]:
        """The populations that compute: readouts included, inputs not."""
        return tuple(p for p in self.populations if not isinstance(p, Input))

    @property
    def plastic(self) -> tuple[Projection, ...]:
        """Projections whose synapses change during a sample."""
        return tuple(q for q in self.projections if q.plasticity is not None)

    @property
    def third_factors(self) -> dict[str, int]:
        """Third factors that are given as data, each once, with the neurons of the (largest) target that they reach."""
        known, found = {p.name: p for p in self.populations}, dict[str, int]()
        for q in self.plastic:
            name = q.plasticity.third_factor if q.plasticity else ""
            if name and name not in known:
                found[name] = max(found.get(name, 0), known[q.target].n)
        return found

    @property
    def n_neurons(self) -> int:
        """Neurons, readouts included, inputs not."""
        return sum(p.n for p in self.neurons)

    @property
    def n_synapses(self) -> int:
        """Synapses in use: of a nonzero weight, or plastic."""
        return sum(int(np.count_nonzero(p.used)) for p in self.projections)

    def fan_in(self, name: str) -> np.ndarray:
        """Synapses per neuron of a population, over all projections onto it."""
        n = self.population(name).n
        return sum((p.fan_in(n) for p in self.incoming(name)), np.zeros(n, dtype=np.int64))

    def fan_out(self, name: str) -> np.ndarray:
        """Synapses per neuron of a population, over all projections from it."""
        n = self.population(name).n
        return sum((p.fan_out() for p in self.projections if p.source == name), np.zeros(n, dtype=np.int64))

    def replace(self, **changes: object) -> "Graph":
        """A copy with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)  # pyright: ignore[reportArgumentType]

    def digest(self) -> str:
        """SHA-256 (hex) over everything that equality compares."""
        sha = hashlib.sha256()
        for part in _canonical(self):
            data = memoryview(np.ascontiguousarray(cast(Any, part)) if isinstance(part, np.ndarray) else repr(part).encode())
            sha.update(data.nbytes.to_bytes(8, "little"))
            sha.update(data)
        return sha.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())


def _canonical(graph: Graph) -> Iterator[object]:
    yield float(graph.dt)
    yield sorted(graph.metadata.items())
    for population in graph.populations:
        yield type(population).__name__, population.name, int(population.n)
        yield [getattr(population, form) for form in population.FORMS]
        for name, array in parameters(population).items():
            yield name, array.dtype.str
            yield array
    for p in graph.projections:
        yield p.name, p.source, p.target, int(p.weight_exp), p.signs is not None
        for array in (p.indptr, p.indices, p.weights, p.delays, *(() if p.signs is None else (p.signs,))):
            yield array.dtype.str, array.shape
            yield array
        if p.plasticity is not None:
            yield from _canonical_rule(p.plasticity)


def _canonical_rule(rule: Plasticity) -> Iterator[object]:
    yield rule.rule, rule.third_factor, rule.alpha.dtype.str, rule.alpha.shape
    yield rule.alpha
    yield [getattr(rule, name) for name in NUMBERS]
    yield None if rule.fixed is None else dataclasses.astuple(rule.fixed)
