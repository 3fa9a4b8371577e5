"""Where neurons lie: populations of one form side by side, so that a step runs through them without looking at each."""

from dataclasses import dataclass

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, LIF, Neurons
from neuromorph.simd.lanes import LANES

WORD = LANES // 2
"""Neurons whose spikes of a step are one word."""


@dataclass(frozen=True)
class Form:
    """What the step asks of a population beside its constants."""

    spikes: bool
    adapts: bool
    subtract: bool
    by_threshold: bool
    current: bool

    @classmethod
    def of(cls, p: Neurons) -> "Form":
        return cls(
            isinstance(p, LIF),
            isinstance(p, ALIF),
            isinstance(p, LIF) and p.reset == "subtract",
            isinstance(p, ALIF) and p.adaptation == "threshold",
            bool(p.decay_u.any()),
        )


@dataclass(frozen=True)
class Group:
    """Neighbouring populations that share lines: those that spike, or one readout. Places `first` .. `first + width` - 1."""

    populations: tuple[Neurons, ...]
    first: int
    width: int


@dataclass(frozen=True)
class Layout:
    """`place`: first place of each population by name; `n`: places in all; `runs`: form, first and last word of neighbours of one form."""

    place: dict[str, int]
    n: int
    groups: tuple[Group, ...]
    runs: tuple[tuple[Form, int, int], ...]

    @classmethod
    def of(cls, graph: Graph) -> "Layout":
        place, groups, runs, at = dict[str, int](), list[Group](), list[tuple[Form, int, int]](), 0
        for members in _groups(graph):
            first = at
            for p in members:
                form = Form.of(p)
                if p is members[0] or form != runs[-1][0]:
                    at = _up(at, WORD)
                    runs.append((form, at // WORD, at // WORD))
                place[p.name] = at
                at += p.n
                runs[-1] = (form, runs[-1][1], _up(at, WORD) // WORD)
            at = _up(at, LANES)
            groups.append(Group(tuple(members), first, at - first))
        return cls(place, at, tuple(groups), tuple(runs))


def bits(flags: np.ndarray) -> np.ndarray:
    """Flags [..., places] as words [..., places / WORD], the first flag in the lowest bit."""
    words = flags.reshape(*flags.shape[:-1], flags.shape[-1] // WORD, WORD).astype(np.int64)
    return (words << np.arange(WORD)).sum(-1).astype(np.uint16)


def first_sources(graph: Graph, layout: Layout) -> np.ndarray:
    """The first source of each population, inputs first, and the number of sources."""
    inputs = np.cumsum([0, *(p.n for p in graph.inputs)])
    return np.array([*inputs[:-1], *(inputs[-1] + layout.place[p.name] for p in graph.neurons), inputs[-1] + layout.n])


def _groups(graph: Graph) -> list[list[Neurons]]:
    groups: list[list[Neurons]] = []
    for p in graph.neurons:
        if not groups or isinstance(p, LI) or isinstance(groups[-1][-1], LI):
            groups.append([])
        groups[-1].append(p)
    return groups


def _up(n: int, unit: int) -> int:
    return -(-n // unit) * unit
