"""A neuron is silent for n_ref steps after a spike, and goes on integrating."""

import numpy as np

from neuromorph.graph import LIF
from tests.conformance.conftest import Case


def test_refractoriness(case: Case) -> None:
    graph = case.check(3, refractory=True, synaptic_current=False, delays=(1, 1))
    assert any(isinstance(p, LIF) and np.any(p.n_ref > 0) for p in graph.populations)
