"""Nothing leaks from one sample into the next, whatever the last sample left in flight."""

import numpy as np

from neuromorph.backends import backend
from tests.conformance.conftest import Case
from tests.strategies import random_graph, random_inputs


def test_samples_are_independent(case: Case) -> None:
    rng = np.random.default_rng(11)
    graph = random_graph(rng, precision=case.precision, max_neurons=8, delays=(1, 4))
    inputs = random_inputs(rng, graph, 4, 25, rate=0.5)
    together = backend(case.backend).run(graph, inputs)
    alone = backend(case.backend).run(graph, inputs.select([3]))
    assert sum(len(s) for s in together.spikes.values()) > 20
    for name, spikes in together.spikes.items():
        assert spikes.select([3]) == alone.spikes[name]
    for name, trace in together.readouts.items():
        np.testing.assert_array_equal(trace[:, 3:], alone.readouts[name])
