"""State traces: the recorded numbers, a dot at each spike, the threshold of its neuron."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import NeuromorphError
from neuromorph.graph import Graph, Input, Projection
from neuromorph.graph.populations import LIF
from neuromorph.recording import Recording
from neuromorph.report.states import states
from neuromorph.spikes import Spikes
from tests.report.conftest import HIDDEN


@pytest.fixture(scope="module")
def recording(graph: Graph, inputs: Spikes) -> Recording:
    return ReferenceBackend().run(graph, inputs, states=[*HIDDEN, "readout"])


def test_lines_are_the_recorded_states_and_dots_the_spikes(recording: Recording):
    own = Figure().add_subplot()
    ax = states(recording, "excitatory", 3, own, neurons=[2, 0])
    assert ax is own
    lines, dots = ax.lines[::2], ax.lines[1::2]
    for neuron, line, dot in zip((2, 0), lines, dots, strict=True):
        values = recording.states["excitatory"]["v"][:, 3, neuron]
        steps = np.flatnonzero(recording.spikes["excitatory"].to_dense()[:, 3, neuron])
        assert len(steps)
        assert line.get_xdata() == pytest.approx(np.arange(60.0))  # ms
        assert line.get_ydata().tolist() == values.tolist()
        assert dot.get_xdata() == pytest.approx(steps)
        assert dot.get_ydata().tolist() == values[steps].tolist()
        assert dot.get_color() == line.get_color()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["neuron 2", "neuron 0"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "v of excitatory")


def test_the_threshold_moves_with_adaptation(graph: Graph, recording: Recording):
    ax = states(recording, "adaptive", 1, neurons=[4], graph=graph)
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    theta = graph.population("adaptive").v_th[4] + recording.states["adaptive"]["a"][:, 1, 4]
    assert [line.get_ydata().tolist() for line in dotted] == [theta.tolist()]
    assert np.ptp(theta) > 0
    assert ax.get_ylabel() == "v of adaptive[4]"


def test_other_variables_have_no_threshold(graph: Graph, recording: Recording):
    ax = states(recording, variable="a", neurons=[0], graph=graph)
    assert ax.get_ylabel() == "a of adaptive[0]"
    assert not [line for line in ax.lines if line.get_linestyle() == ":"]


def test_the_first_five_neurons_of_the_first_population_by_default(recording: Recording):
    ax = states(recording)
    assert len(ax.lines) == 2 * 5
    assert ax.get_ylabel() == "v of excitatory"


def test_one_silent_integer_neuron():
    populations = (Input("in", 1), LIF.of("one", 1, decay_v=3000, v_th=100, precision="integer"))
    graph = Graph(1e-3, populations, (Projection.from_dense("in", "one", np.zeros((1, 1), np.int64)),))
    recording = ReferenceBackend().run(graph, Spikes.from_dense(np.zeros((5, 1, 1), bool), 1e-3), states=["one"], spikes=[])
    ax = states(recording, graph=graph)
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0] * 5, [], [6400] * 5]
    assert ax.get_ylabel() == "v of one[0] (integers)"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"population": "none"}, "'v' of 'none', sample 0; recorded: 'v' of excitatory"),
        ({"sample": 8}, "sample 8; .* 8 samples"),
        ({"neurons": [16]}, r"neurons \[16\] of 'excitatory'; it has neurons 0\.\.15"),
        ({"variable": "u"}, "recorded: 'u' of nothing"),
    ],
)
def test_what_was_not_recorded_is_named(recording: Recording, asked: dict[str, object], message: str):
    with pytest.raises(NeuromorphError, match=message):
        states(recording, **asked)
