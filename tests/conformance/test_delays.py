"""Delays of 1 to 5 steps, mixed within a projection; integer sums are shifted once a step and projection."""

from tests.conformance.conftest import Case


def test_mixed_delays(case: Case) -> None:
    graph = case.check(4, delays=(1, 5), refractory=False, synaptic_current=False)
    assert max(p.max_delay for p in graph.projections) == 5
