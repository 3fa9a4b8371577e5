"""Current-based synapses: the input decays with decay_u before it reaches v."""

from neuromorph.graph import LI, LIF
from tests.conformance.conftest import Case


def test_synaptic_current(case: Case) -> None:
    graph = case.check(7, synaptic_current=True, delays=(1, 1))
    assert any(isinstance(p, LIF | LI) and p.decay_u.any() for p in graph.populations)
