"""Comparisons that must fail: one weight flipped, and the first difference named where it is."""

import numpy as np
import pytest

from neuromorph.agreement import validate
from neuromorph.backends import backend
from neuromorph.compare import compare, decisions
from neuromorph.errors import GraphError
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.spikes import Spikes

STEPS, SAMPLES = 30, 4


def chain(precision: str, *, weight: float | None = None, neuron: int = 0) -> Graph:
    """Input k drives neuron k alone, so that a changed weight can only show at that neuron."""
    integer = precision == "integer"
    strength = 60 if integer else 0.75
    weights = np.eye(3) * strength
    if weight is not None:
        weights[neuron, neuron] = weight
    kind = int if integer else float
    hidden = LIF.of("hidden", 3, decay_v=2048 if integer else 0.5, v_th=100 if integer else 1.0, gain=1, precision=precision)
    readout = LI.of("readout", 3, decay_v=2048 if integer else 0.5, gain=1, precision=precision)
    onward = Projection.from_dense("hidden", "readout", (np.eye(3) * (10 if integer else 0.5)).astype(kind))
    return Graph(1e-3, (Input("input", 3), hidden, readout), (Projection.from_dense("input", "hidden", weights.astype(kind)), onward))


@pytest.fixture
def inputs() -> Spikes:
    dense = np.zeros((STEPS, SAMPLES, 3), dtype=bool)
    dense[5:, 2, 1] = True  # only sample 2 drives neuron 1, from step 5
    dense[::3, :, 0] = True
    return Spikes.from_dense(dense, 1e-3)


@pytest.mark.parametrize("precision", ["float", "integer"])
@pytest.mark.parametrize("backend", ["fast", "brian2"])
def test_identical_runs_agree(precision: str, backend: str, inputs: Spikes) -> None:
    result = validate(chain(precision), inputs, ("reference", backend)).comparisons[0]
    assert result.identical
    assert result.first is None
    assert result.spikes > 0
    assert result.traces == 2
    assert result.decisions_equal == SAMPLES


@pytest.mark.parametrize(("precision", "weight"), [("float", 0.8), ("integer", 62)])
def test_one_flipped_weight_is_found_at_its_first_step(precision: str, weight: float, inputs: Spikes) -> None:
    """The input spike of step 5 arrives at step 6: v differs there first, at neuron 1 of sample 2 alone."""
    good, bad = chain(precision), chain(precision, weight=weight, neuron=1)
    states = ["hidden"]
    run = backend("reference").run
    result = compare(good, run(bad, inputs, states=states), run(good, inputs, states=states))
    assert not result.identical
    assert result.first is not None
    assert (result.first.step, result.first.sample, result.first.population, result.first.neuron) == (6, 2, "hidden", 1)
    assert result.first.variable == "v"
    scale = 64 if precision == "integer" else 1
    assert result.first.a == pytest.approx(weight * scale)
    assert result.first.b == pytest.approx((60 if precision == "integer" else 0.75) * scale)


def test_spike_difference_tells_margin_and_that_rounding_does_not_explain_it(inputs: Spikes) -> None:
    """Without traces only spikes are compared. v: 0.75, 1.125 > 1 at step 7; with weight 0.6: 0.6, 0.9, 1.05 > 1 at step 8."""
    good, bad = chain("float"), chain("float", weight=0.6, neuron=1)
    result = compare(good, backend("reference").run(bad, inputs), backend("reference").run(good, inputs, states=["hidden"]))
    assert result.first is not None
    assert (result.first.step, result.first.sample, result.first.neuron, result.first.variable) == (7, 2, 1, "spike")
    assert result.first.margin == pytest.approx(0.125)
    assert not result.first.rounding
    assert "sample 2, step 7, hidden[1]" in str(result.first)


def test_rounding_is_named_as_such() -> None:
    """A threshold one part in 10^12 above the potential: the flip of one bit is put down to summation order."""
    spikes = Spikes.from_dense(np.array([1, 0, 0]).reshape(3, 1, 1).astype(bool), 1e-3)

    def graph(v_th: float) -> Graph:
        hidden = LIF.of("hidden", 1, decay_v=0.0, v_th=v_th, gain=1.0)
        return Graph(1e-3, (Input("input", 1), hidden), (Projection.from_dense("input", "hidden", np.ones((1, 1))),))

    low, high = graph(1 - 1e-12), graph(1 + 1e-12)
    run = backend("reference").run
    result = compare(high, run(low, spikes, states=["hidden"]), run(high, spikes, states=["hidden"]))
    assert result.spikes_differing == 1
    assert not result.identical
    assert result.first is not None
    assert result.first.rounding


def test_recordings_of_other_sizes_are_refused(inputs: Spikes) -> None:
    graph = chain("float")
    run = backend("reference").run
    with pytest.raises(GraphError, match="run both on the same inputs"):
        compare(graph, run(graph, inputs), run(graph, inputs.select([0])))


def test_decisions_take_the_last_steps(inputs: Spikes) -> None:
    """Input 1 falls silent early: it leads over all steps, input 0 leads at the end."""
    dense = np.zeros((40, 1, 3), dtype=bool)
    dense[:20, 0, 1] = True
    dense[30:, 0, 0] = True
    recording = backend("reference").run(chain("float"), Spikes.from_dense(dense, 1e-3))
    assert decisions(recording).tolist() == [1]
    assert decisions(recording, window=5).tolist() == [0]
