"""Traces of plastic synapses: the numbers of the recording, by the weight that a spike would meet."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import NeuromorphError
from neuromorph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.report.learning import learning_traces
from tests.strategies import plastic_graph, random_graph, random_inputs, third_factors


def learnt(precision: str, rule: str = "retroactive") -> tuple[Graph, Recording]:
    rng = np.random.default_rng(5)
    graph = plastic_graph(rng, rule=rule, precision=precision)
    signals = third_factors(rng, graph, 2, 60)
    names = [q.name for q in graph.plastic]
    return graph, ReferenceBackend().run(graph, random_inputs(rng, graph, 2, 60), states=names, third_factors=signals)


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_the_weight_is_the_fixed_part_and_the_learnt_one(precision: str):
    graph, recording = learnt(precision)
    own, q = Figure().add_subplot(), graph.plastic[0]
    ax = learning_traces(graph, recording, q.name, 1, own, synapses=[1, 0])
    assert ax is own
    rule, h = q.plasticity, recording.states[q.name]["H"]
    exponent = rule.fixed.alpha_exp if precision == "integer" else 0
    for synapse, line in zip((1, 0), ax.lines, strict=True):
        weight = q.weights[synapse] * 2.0**q.weight_exp + rule.alpha[synapse] * h[:, 1, synapse] * 2.0**exponent
        assert line.get_ydata().tolist() == weight.tolist()
        assert line.get_xdata() == pytest.approx(np.arange(60) * graph.dt * 1e3)
        assert line.get_label() == f"{q.rows[synapse]} → {q.indices[synapse]}"
    integers = " (integers)" if precision == "integer" else ""
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", f"weight w + α H{integers}\n{q.name}")


@pytest.mark.parametrize("variable", ["H", "E"])
def test_plastic_part_and_eligibility_as_recorded(variable: str):
    graph, recording = learnt("integer")
    q = graph.plastic[0]
    ax = learning_traces(graph, recording, variable=variable, synapses=[0])
    assert ax.lines[0].get_ydata().tolist() == recording.states[q.name][variable][:, 0, 0].tolist()


def test_the_synapses_that_change_most_by_default():
    graph, recording = learnt("float")
    q = graph.plastic[0]
    ax = learning_traces(graph, recording, variable="H")
    reach = np.ptp(recording.states[q.name]["H"][:, 0], axis=0)
    drawn = [np.ptp(line.get_ydata()) for line in ax.lines]
    assert drawn == sorted(reach.tolist(), reverse=True)[: len(drawn)]
    assert len(drawn) == min(5, q.n_synapses)


def test_what_was_not_recorded_is_named():
    graph, recording = learnt("float")
    for asked, message in (
        ({"projection": "none"}, f"'none', sample 0; recorded: {graph.plastic[0].name}"),
        ({"sample": 2}, "sample 2; .* 2 samples"),
        ({"synapses": [10_000]}, r"synapses \[10000\]"),
    ):
        with pytest.raises(NeuromorphError, match=message):
            learning_traces(graph, recording, **asked)
    fixed = random_graph(np.random.default_rng(0))
    silent = ReferenceBackend().run(fixed, random_inputs(np.random.default_rng(0), fixed, 1, 5))
    with pytest.raises(NeuromorphError, match="recorded: no plastic projection"):
        learning_traces(fixed, silent)
