"""When a population runs behind the NIR graph, in which nothing takes time but neurons and delays: here each projection takes a step."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components


class Edge(NamedTuple):
    """`least`: the shortest delay [steps] of the NIR graph from `source` to `target`."""

    source: str
    target: str
    least: int


class Timing(NamedTuple):
    """`latency` [steps] of each population behind the NIR graph. `stretched`: loops of several populations, in which each projection
    without a delay takes a step.
    """

    latency: dict[str, int]
    stretched: list[list[str]]

    def delay(self, edge: Edge, steps: int) -> int:
        """Of a synapse here that has `steps` in the NIR graph."""
        loop = any(edge.source in names and edge.target in names for names in self.stretched)
        own = max(steps, 1) if edge.source == edge.target or loop else steps
        return self.latency[edge.target] - self.latency[edge.source] + own


def timed(names: Sequence[str], edges: Iterable[Edge], delayed: Iterable[str] = ()) -> Timing:
    """The least latencies for which every projection takes a step or more; populations in `delayed` have one of at least 1.

    A population's synapses to itself take a step, by which its spikes of the step before reach it.
    """
    given = [edge._replace(least=max(edge.least, 1)) if edge.source == edge.target else edge for edge in edges]
    start = {name: int(name in set(delayed)) for name in names}
    stretched: list[list[str]] = []
    for loop in _loops(names, given):
        inner = [edge for edge in given if edge.source in loop and edge.target in loop]
        if _longest(loop, inner, dict.fromkeys(loop, 0)) is None:
            stretched.append(loop)
            given = [edge._replace(least=max(edge.least, 1)) if edge in inner else edge for edge in given]
    latency = _longest(names, given, start)
    assert latency is not None
    return Timing(latency, stretched)


def _loops(names: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Strongly connected components of several populations."""
    place = {name: k for k, name in enumerate(names)}
    ends = np.array([(place[e.source], place[e.target]) for e in edges], dtype=np.int64).reshape(-1, 2)
    links = sparse.csr_array((np.ones(len(ends)), ends.T), shape=(len(names), len(names)))
    _, label = connected_components(links, connection="strong")
    found = [[name for name in names if label[place[name]] == k] for k in np.unique(label)]
    return [loop for loop in found if len(loop) > 1]


def _longest(names: Sequence[str], edges: Sequence[Edge], start: dict[str, int]) -> dict[str, int] | None:
    """Latencies with latency(target) >= latency(source) + 1 - least (Bellman-Ford); None where a loop takes less than its steps."""
    latency = dict(start)
    for _ in range(len(names) + 1):
        changed = False
        for source, target, least in edges:
            if latency[source] + 1 - least > latency[target]:
                latency[target], changed = latency[source] + 1 - least, True
        if not changed:
            return latency
    return None
