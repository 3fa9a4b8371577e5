"""Validation that cannot fail proves nothing: one weight changed on one side must be found, at its step and neuron."""

import numpy as np

from neuromorph.backends import backend
from neuromorph.compare import compare
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.spikes import Spikes
from tests.conformance.conftest import Case


def _graph(precision: str, changed: bool) -> Graph:
    """Input k drives neuron k alone; `changed` moves the weight of neuron 1."""
    integer = precision == "integer"
    weights = np.diag([60, 62 if changed else 60, 60]) if integer else np.diag([0.75, 0.8 if changed else 0.75, 0.75])
    hidden = LIF.of("hidden", 3, decay_v=2048 if integer else 0.5, v_th=100 if integer else 1.0, gain=1, precision=precision)
    readout = LI.of("readout", 3, decay_v=2048 if integer else 0.5, gain=1, precision=precision)
    onward = Projection.from_dense("hidden", "readout", np.eye(3, dtype=weights.dtype) * 2)
    return Graph(1e-3, (Input("input", 3), hidden, readout), (Projection.from_dense("input", "hidden", weights), onward))


def test_one_flipped_weight_is_found(case: Case) -> None:
    """Neuron 1 is driven from step 5 of sample 1 alone, so the weight first shows one step later."""
    dense = np.zeros((20, 2, 3), dtype=bool)
    dense[5:, 1, 1] = True
    dense[::3, :, 0] = True
    inputs = Spikes.from_dense(dense, 1e-3)
    good, bad = _graph(case.precision, changed=False), _graph(case.precision, changed=True)
    oracle = backend("reference").run(good, inputs, states=["hidden"])
    simulator = backend(case.backend)
    assert compare(good, simulator.run(good, inputs, states=["hidden"]), oracle).identical
    result = compare(good, simulator.run(bad, inputs, states=["hidden"]), oracle)
    assert not result.identical
    assert result.first is not None
    assert (result.first.step, result.first.sample, result.first.population, result.first.neuron) == (6, 1, "hidden", 1)
