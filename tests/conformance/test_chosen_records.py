"""Only what is asked for is kept, and that is the same as if everything were."""

import numpy as np
import pytest

from neuromorph.backends import backend
from neuromorph.errors import GraphError
from neuromorph.graph import LIF
from tests.conformance.conftest import Case
from tests.strategies import random_graph, random_inputs


def test_chosen_populations(case: Case) -> None:
    rng = np.random.default_rng(13)
    graph = random_graph(rng, precision=case.precision, max_neurons=8)
    inputs = random_inputs(rng, graph, 2, 30)
    firing = [p.name for p in graph.neurons if isinstance(p, LIF)]
    assert len(firing) == 2
    whole = backend("reference").run(graph, inputs, states=firing)
    assert all(len(spikes) for spikes in whole.spikes.values())
    for names in (firing[1:], []):
        found = backend(case.backend).run(graph, inputs, states=firing[:1], spikes=names)
        assert list(found.spikes) == names
        assert all(found.spikes[name] == whole.spikes[name] for name in names)
        assert list(found.states) == firing[:1]
        np.testing.assert_allclose(found.states[firing[0]]["v"], whole.states[firing[0]]["v"], rtol=0, atol=1e-12)
        assert set(found.readouts) == set(whole.readouts)


def test_what_cannot_be_recorded_is_refused(case: Case) -> None:
    rng = np.random.default_rng(13)
    graph = random_graph(rng, precision=case.precision, max_neurons=8)
    inputs = random_inputs(rng, graph, 1, 2)
    with pytest.raises(GraphError, match="cannot be recorded; the populations that fire: hidden0"):
        backend(case.backend).run(graph, inputs, spikes=["out"])
    with pytest.raises(GraphError, match="'in' is an Input"):
        backend(case.backend).run(graph, inputs, states=["in"])
