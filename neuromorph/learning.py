"""Plasticity on a chip as far as its cost goes: which synapses are updated, and how often."""

from dataclasses import dataclass

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph


@dataclass(frozen=True)
class Learning:
    """The synapses of `projections` are plastic: every `epoch` steps the chip computes `rules` for each of them.

    Davies et al. 2018 (doi:10.1109/MM.2018.112130359): rules change weight (dw), delay (dd) and tag (dt). A three-factor rule with its
    eligibility in the tag has two, dt and dw; pairwise STDP has one.

    Raises:
        GraphError: no projection, an epoch below 1, or rules other than 1 to 3.
    """

    projections: tuple[str, ...]
    epoch: int = 1
    rules: int = 2

    def __post_init__(self) -> None:
        if not self.projections:
            raise GraphError("Learning: no projections; name those whose synapses are plastic.")
        if self.epoch < 1 or not 1 <= self.rules <= 3:
            raise GraphError(f"Learning: epoch {self.epoch}, rules {self.rules}; an epoch has 1 step or more, a synapse 1 to 3 rules.")

    @classmethod
    def of(cls, graph: Graph) -> "Learning | None":
        """That of a graph's plastic projections, every step: H, and of retroactive rules E. None where nothing is plastic."""
        if not graph.plastic:
            return None
        retroactive = any(q.plasticity is not None and q.plasticity.rule == "retroactive" for q in graph.plastic)
        return cls(tuple(q.name for q in graph.plastic), 1, 2 if retroactive else 1)

    def synapses(self, graph: Graph) -> int:
        """Plastic synapses.

        Raises:
            GraphError: a projection is not in the graph.
        """
        return sum(int(np.count_nonzero(graph.projection(name).used)) for name in self.projections)

    def updates(self, graph: Graph, n_steps: int) -> int:
        """Updates of plastic synapses in so many steps, whether or not their neurons spike (a chip that skips those of silent axons
        does fewer).
        """
        return self.synapses(graph) * self.rules * (n_steps // self.epoch)
