"""The public plots: each on the axis it is given, side by side, named, without pyplot, for networks with next to nothing in them."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from neuromorph import plots
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.energy import estimate
from neuromorph.graph import LI, LIF, Graph, Input, Plasticity, Projection
from neuromorph.hardware import load_profile
from neuromorph.mapping import map_to_chip
from neuromorph.quantize import quantize
from neuromorph.spikes import Spikes

CHIP = load_profile("loihi2")


def tiny(weight: float, rate: float) -> tuple[Graph, Spikes]:
    """One neuron between one input and one readout, its input plastic."""
    rule = Plasticity("hebbian", np.array([0.5]), eta=0.1, decay_pre=0.5, clip=1.0)
    one = Projection.from_dense("in", "one", np.array([[weight]])) if weight else _silent("in", "one")
    plastic = Projection(one.name, "in", "one", one.indptr, one.indices, one.weights, one.delays, plasticity=rule)
    out = Projection.from_dense("one", "out", np.array([[weight]]))
    populations = (Input("in", 1), LIF.of("one", 1, decay_v=0.9, v_th=1.0), LI.of("out", 1, decay_v=0.9))
    dense = np.random.default_rng(0).random((20, 1, 1)) < rate
    return Graph(1e-3, populations, (plastic, out)), Spikes.from_dense(dense, 1e-3)


def _silent(source: str, target: str) -> Projection:
    return Projection("in->one", source, target, np.array([0, 1]), np.array([0]), np.zeros(1), np.ones(1, np.int64))


def drawings(weight: float, rate: float, integer: bool) -> dict[str, Callable[[Axes], Axes]]:
    """Every plot of the tiny network, of its integers where asked."""
    graph, inputs = tiny(weight, rate)
    fixed = graph.replace(projections=(Projection.from_dense("in", "one", np.array([[weight or 1.0]])), graph.projections[1]))
    whole, _ = quantize(fixed, CHIP)
    shown = whole if integer else graph
    recording = ReferenceBackend().run(shown, inputs, states=["one", *(q.name for q in shown.plastic)])
    learnt = ReferenceBackend().run(graph, inputs, states=[q.name for q in graph.plastic])
    counted = ReferenceBackend().run(whole, inputs)
    report = estimate(count(whole, inputs, counted), whole, CHIP)
    found, traffic = map_to_chip(whole, CHIP, {name: s.counts().mean(0) for name, s in {"in": inputs, **counted.spikes}.items()})
    return {
        "raster": lambda ax: plots.raster({"in": inputs, **recording.spikes}, ax=ax),
        "rates": lambda ax: plots.rates(recording.spikes, ax),
        "states": lambda ax: plots.states(recording, graph=shown, ax=ax),
        "readouts": lambda ax: plots.readouts(recording, ax=ax),
        "connectivity": lambda ax: plots.connectivity(shown, ax),
        "weights": lambda ax: plots.weights(shown, ax),
        "energy_terms": lambda ax: plots.energy_terms(report, ax),
        "energy_bars": lambda ax: plots.energy_bars([report, report.to_dict()], ax),
        "core_grid": lambda ax: plots.core_grid(found, traffic, CHIP, ax),
        "learning_traces": lambda ax: plots.learning_traces(graph, learnt, ax=ax),
        "learning_curve": lambda ax: plots.learning_curve([{"epoch": 1, "train_accuracy": 0.5}], ax),
    }


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize(("weight", "rate"), [(0.0, 0.0), (20.0, 0.0), (20.0, 0.5)])
def test_every_plot_draws_on_its_axis_alone(weight: float, rate: float, integer: bool):
    draw = drawings(weight, rate, integer)
    assert set(draw) == set(plots.__all__)
    figure = Figure(figsize=(18, 10), layout="constrained")
    axes = figure.subplots(3, 4)
    ground = figure.patch.get_alpha()
    for ax, (name, each) in zip(axes.flat, draw.items()):
        children = [len(other.get_children()) for other in axes.flat if other is not ax]
        assert each(ax) is ax, name
        assert [len(other.get_children()) for other in axes.flat if other is not ax] == children, name
        assert ax.get_xlabel() or not ax.axison, name
    assert len(figure.axes) == 12
    assert figure.patch.get_alpha() == ground
    FigureCanvasAgg(figure).draw()
    place = [ax.get_position() for ax in axes.flat]
    assert all(box.width > 0.05 and box.height > 0.08 for box in place)


def test_every_plot_makes_a_figure_of_its_own():
    for name, each in drawings(20.0, 0.5, False).items():
        ax = each(None)
        figure = ax.get_figure()
        assert isinstance(figure, Figure), name
        FigureCanvasAgg(figure).draw()


def test_all_axes_tell_their_units():
    ax = Figure().subplots(1, 5)
    draw = drawings(20.0, 0.5, False)
    labels = {name: (draw[name](a).get_xlabel(), a.get_ylabel()) for name, a in zip(("raster", "rates", "states", "weights"), ax)}
    assert labels == {
        "raster": ("time (ms)", ""),
        "rates": ("firing rate (Hz)", "neurons"),
        "states": ("time (ms)", "v of one[0]"),
        "weights": ("weight", "synapses"),
    }
    energy = draw["energy_terms"](ax[4])
    assert energy.xaxis.get_major_formatter()(1e-9).endswith("nJ")


def test_pyplot_is_left_alone_and_a_missing_library_is_named():
    code = "import sys, neuromorph.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys; sys.modules['matplotlib'] = None; import neuromorph.plots"
    told = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stderr
    assert "NeuromorphError: matplotlib cannot be imported" in told
    assert 'pip install "neuromorph[report]"' in told
