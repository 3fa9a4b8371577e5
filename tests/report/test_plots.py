"""Plots: an axis back, composable, and exactly the marks that the data asks for."""

import sys
from subprocess import run

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import NeuromorphError
from neuromorph.graph import LI, Graph, Input, Projection
from neuromorph.report import plots
from neuromorph.report.style import BLUE, VERMILLION, to_svg
from neuromorph.spikes import Spikes


def strokes(ax) -> dict[str, list[tuple[float, float]]]:
    """(time, middle of the stroke) of every mark, by population."""
    found = {}
    for patch in ax.patches:
        assert isinstance(patch, PathPatch)
        path = patch.get_path()
        starts = np.flatnonzero(path.codes == Path.MOVETO)
        found[patch.get_label()] = [(path.vertices[i, 0], path.vertices[i : i + 2, 1].mean()) for i in starts]
    return found


def test_raster_puts_one_stroke_at_each_spike():
    a = Spikes.from_events([0, 0, 1], [3, 5, 1], [1, 0, 0], n_samples=2, n_steps=8, n_neurons=2, dt=2e-3)
    b = Spikes.from_events([0], [7], [2], n_samples=2, n_steps=8, n_neurons=3, dt=2e-3)
    ax = plots.raster({"a": a, "b": b}, sample=0)
    marks = strokes(ax)
    assert [pytest.approx(mark) for mark in marks["a"]] == [(6.0, 1.0), (10.0, 0.0)]
    assert [pytest.approx(mark) for mark in marks["b"]] == [(14.0, 2 + 2)]  # ms; above the two neurons of a
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a (2)", "b (3)"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), rate=st.floats(0, 0.5))
def test_raster_has_as_many_marks_as_spikes(seed: int, rate: float):
    spikes = Spikes.from_dense(np.random.default_rng(seed).random((12, 2, 5)) < rate, 1e-3)
    ax = plots.raster(spikes, sample=1)
    wanted = int((spikes.sample == 1).sum())
    assert len(strokes(ax)[""]) == wanted
    svg = to_svg(ax, "r", "raster")
    assert sum(part.split('"')[0].count("M") for part in svg.split('<path d="')[1:] if "clip-path" in part.split(">")[0]) >= wanted


def test_raster_refuses_a_sample_that_is_not_there():
    spikes = Spikes.from_dense(np.zeros((3, 2, 1), dtype=bool), 1e-3)
    with pytest.raises(NeuromorphError, match=r"sample 2 .* samples 0\.\.1"):
        plots.raster(spikes, sample=2)


def test_rates_count_every_neuron_once_in_hertz():
    dense = np.zeros((100, 1, 4), dtype=bool)  # 0.1 s
    dense[:5, 0, 1] = True  # 50 Hz
    dense[:10, 0, 2:] = True  # 100 Hz
    ax = plots.rates({"x": Spikes.from_dense(dense, 1e-3)}, bins=2)
    values, edges, _ = ax.patches[0].get_data()
    assert edges.tolist() == [0, 50, 100]
    assert values.tolist() == [1, 3]


def two_signs() -> Graph:
    matrix = np.array([[0.5, 0.0, -1.0], [0.0, 2.0, 0.0]])
    populations = (Input("in", 2), LI.of("out", 3, decay_v=0.9))
    return Graph(1e-3, populations, (Projection.from_dense("in", "out", matrix),))


def test_connectivity_shows_each_synapse_in_the_colour_of_its_sign():
    image = plots.connectivity(two_signs()).images[0].get_array()
    assert image.shape == (2, 3, 4)  # inputs send, readouts receive
    rgb = {colour: [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in (BLUE, VERMILLION)}
    assert np.argwhere(image[..., 3] > 0).tolist() == [[0, 0], [0, 2], [1, 1]]
    assert image[0, 0, :3].tolist() == image[1, 1, :3].tolist() == rgb[BLUE]
    assert image[0, 2, :3].tolist() == rgb[VERMILLION]
    assert image[0, 0, 3] < image[0, 2, 3] < image[1, 1, 3] == 1


def test_large_graphs_are_binned_and_keep_their_strongest_weights(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plots, "MAX_CELLS", 1)
    image = plots.connectivity(two_signs()).images[0].get_array()
    assert image.shape == (1, 1, 4)
    assert image[0, 0].tolist() == [*(int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0]  # 2.0 is the strongest


def test_weights_histogram_holds_every_synapse_with_its_exponent():
    ax = plots.weights(two_signs(), bins=4)
    assert [patch.get_data()[0].tolist() for patch in ax.patches] == [[0, 0, 1, 1], [0, 1, 0, 0]]
    integer = Projection.from_dense("in", "out", np.array([[6], [2]]), weight_exp=3)
    graph = Graph(1e-3, (Input("in", 2), LI.of("out", 1, decay_v=3000, precision="integer")), (integer,))
    assert plots.weights(graph).patches[0].get_data()[1][-1] == 48


def test_readouts_draw_a_line_a_class_and_name_decision_and_label(graph, inputs):
    recording = ReferenceBackend().run(graph, inputs)
    y = recording.readouts["readout"]
    decided = int(y[-20:, 3].mean(axis=0).argmax())
    ax = plots.readouts(recording, 3, target=(decided + 1) % 5, window=20)
    assert len(ax.lines) == 5
    assert all(np.array_equal(line.get_ydata(), y[:, 3, k]) for k, line in enumerate(ax.lines))
    assert [t.get_text() for t in ax.texts] == [f"{decided} (decision)", f"{(decided + 1) % 5} (label)"]
    with pytest.raises(NeuromorphError, match="sample 99"):
        plots.readouts(recording, 99)


def test_learning_curve_draws_every_accuracy_in_percent():
    ax = plots.learning_curve(
        [{"epoch": 1, "loss": 3.0, "train_accuracy": 0.5, "test_accuracy": None}, {"epoch": 2, "train_accuracy": 0.75}]
    )
    assert [line.get_label() for line in ax.lines] == ["train", "test"]
    assert ax.lines[0].get_ydata().tolist() == [50, 75]


def test_energy_bars_span_lo_to_hi_with_nominal_marked_on_a_log_scale():
    scope = {"lo": 1e-6, "nominal": 2e-6, "hi": 4e-6}
    chips = [
        {"profile": "a", "what_if": True, "scopes": {"dynamic": scope, "static": {"lo": 1e-3, "nominal": 1e-3, "hi": 1e-3}}},
        {"profile": "b", "what_if": False, "scopes": {"dynamic": scope}},
    ]
    ax = plots.energy_bars(chips)
    assert ax.get_xscale() == "log"
    assert len(ax.patches) == 3
    assert (ax.patches[0].get_x(), ax.patches[0].get_x() + ax.patches[0].get_width()) == pytest.approx((1e-6, 4e-6))
    assert ax.lines[0].get_xdata().tolist() == [2e-6, 2e-6]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a *", "b"]


def test_energy_bars_leave_out_what_is_unknown():
    scope = {"lo": 1e-6, "nominal": 2e-6, "hi": 4e-6}
    chips = [
        {"profile": "a", "scopes": {"dynamic": scope, "static": None, "embedded_cpu": None}},
        {"profile": "b", "scopes": {"dynamic": scope, "static": None, "embedded_cpu": scope}},
        {"profile": "c", "scopes": {"dynamic": None, "static": None, "embedded_cpu": None}},
    ]
    ax = plots.energy_bars(chips)
    assert [(round(bar.get_y() + bar.get_height() / 2, 9), bar.get_width()) for bar in ax.patches] == [
        (2.2, pytest.approx(3e-6)),
        (1.2, pytest.approx(3e-6)),
        (0.8, pytest.approx(3e-6)),
    ]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["dynamic", "embedded CPU"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]


def test_exact_energies_have_a_coloured_edge():
    exact, wide = ({"lo": 1e-6, "nominal": 1e-6, "hi": hi} for hi in (1e-6, 2e-6))
    ax = plots.energy_bars([{"profile": name, "scopes": {"dynamic": scope}} for name, scope in (("a", exact), ("b", wide))])
    assert [bar.get_linewidth() > 0 for bar in ax.patches] == [True, False]


def test_energy_terms_are_bars_in_the_colour_of_their_scope():
    def term(name: str, scope: str, lo: float, hi: float) -> dict[str, object]:
        return {"name": name, "scope": scope, "lo": lo, "nominal": (lo + hi) / 2, "hi": hi}

    terms = [
        term("synaptic operations onto auxiliary compartments", "dynamic", 1e-9, 3e-9),
        term("hops east-west", "dynamic", 0.0, 0.0),
        term("static $", "static", 0.0, 2e-6),
        term("messages sent", "dynamic", 4e-9, 4e-9),
    ]
    own = Figure().add_subplot()
    ax = plots.energy_terms({"terms": terms}, own)
    assert ax is own
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "synaptic operations onto\nauxiliary compartments",
        r"static \$",
        "messages sent",
    ]
    bars = {bar.get_y() + bar.get_height() / 2: (bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches}
    assert bars == {2: pytest.approx((1e-9, 3e-9)), 0: pytest.approx((4e-9, 4e-9)), 1: pytest.approx((0, 2e-6))}
    assert len({bar.get_facecolor() for bar in ax.patches}) == 2
    assert sorted(x for line in ax.lines for x in line.get_xdata()) == pytest.approx([2e-9, 4e-9, 1e-6])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["dynamic", "static"]


def test_plots_compose_on_a_given_axis(graph, inputs):
    recording = ReferenceBackend().run(graph, inputs)
    figure = Figure()
    axes = figure.subplots(2, 2).flat
    drawn = [
        plots.raster(inputs, ax=axes[0]),
        plots.rates(inputs, axes[1]),
        plots.connectivity(graph, axes[2]),
        plots.readouts(recording, 0, axes[3]),
    ]
    assert drawn == list(axes)
    assert all(ax.figure is figure for ax in drawn)


def test_empty_data_draws_empty_axes():
    nothing = Spikes.from_dense(np.zeros((4, 1, 2), dtype=bool), 1e-3)
    graph = Graph(1e-3, (Input("in", 2), LI.of("out", 1, decay_v=0.5)), ())
    for ax in (
        plots.raster(nothing),
        plots.rates(nothing),
        plots.connectivity(graph),
        plots.weights(graph),
        plots.learning_curve([]),
        plots.energy_bars([]),
        plots.energy_terms({"terms": []}),
    ):
        assert to_svg(ax, "x", "x").startswith("<svg")


def test_svg_follows_the_page_and_equal_figures_give_equal_text():
    spikes = Spikes.from_dense(np.eye(6, dtype=bool)[:, None], 1e-3)
    first, again = (to_svg(plots.raster(spikes), "one", 'a <b> & "c"') for _ in range(2))
    assert first == again
    assert "currentColor" in first
    assert 'aria-label="a &lt;b> &amp; &quot;c&quot;"' in first
    assert "http" not in first
    ids = [part.split('"')[0] for part in first.split(' id="')[1:]]
    assert ids
    assert all(name.startswith("one-") for name in ids)


def test_plots_leave_pyplot_alone():
    code = "import sys, neuromorph.report.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
