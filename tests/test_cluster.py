"""Clustered constants: optimal against brute force, never worse than uniform bins, few enough, and never more than asked for."""

import itertools
import json
from dataclasses import replace as with_fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neuromorph.backends import backend
from neuromorph.cli.app import app
from neuromorph.cli.output import console
from neuromorph.cluster import CONSTANTS, cluster, nearest_levels, reduce_tuples
from neuromorph.errors import QuantizationError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Population, Projection, load, save
from neuromorph.hardware import load_profile
from neuromorph.mapping.cut import demands
from neuromorph.quantize import allowed, count_settings, quantize
from tests.strategies import graphs, random_inputs

LOIHI1, LOIHI2 = load_profile("loihi1"), load_profile("loihi2")


def log_tau(decay: np.ndarray) -> np.ndarray:
    """log(tau / dt) of decay = exp(-dt / tau)."""
    return -np.log(-np.log(decay / 4096))


def squared_error(before: np.ndarray, after: np.ndarray, counts: np.ndarray) -> float:
    return float((counts * (log_tau(after) - log_tau(before)) ** 2).sum())


def best_by_brute_force(values: np.ndarray, counts: np.ndarray, k: int) -> float:
    """Every choice of k integers from the lowest value to the highest; each value goes to the nearest."""
    levels = np.arange(values.min(), values.max() + 1)
    squares = counts[:, None] * (log_tau(values)[:, None] - log_tau(levels)[None]) ** 2
    return min(float(squares[:, list(c)].min(1).sum()) for c in itertools.combinations(range(len(levels)), min(k, len(levels))))


values_and_counts = st.lists(st.tuples(st.integers(4000, 4018), st.integers(1, 9)), min_size=1, max_size=7, unique_by=lambda x: x[0])


@settings(max_examples=60, deadline=None)
@given(pairs=values_and_counts, k=st.integers(1, 3))
def test_one_dimension_is_optimal(pairs: list[tuple[int, int]], k: int) -> None:
    values, counts = (np.array(column, np.int64) for column in zip(*sorted(pairs)))
    assume(k < len(values))
    found = nearest_levels(values, counts, k, CONSTANTS["decay_v"])
    assert len(np.unique(found)) <= k
    assert squared_error(values, found, counts) == pytest.approx(best_by_brute_force(values, counts, k), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(1, 4095), min_size=2, max_size=80), k=st.integers(1, 10))
def test_never_worse_than_uniform_bins(values: list[int], k: int) -> None:
    """Bins of equal width in log tau, each at the integer next to its middle."""
    before = np.array(values, np.int64)
    x = log_tau(before)
    edges = np.linspace(x.min(), x.max(), k + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    bins = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, k - 1)
    uniform = np.clip(np.rint(4096 * np.exp(-np.exp(-middle))), 1, 4095).astype(np.int64)[bins]
    found, error = reduce_tuples(before[:, None], ("decay_v",), k, np.random.default_rng(0))
    ones = np.ones(len(before))
    assert error == pytest.approx(squared_error(before, found[:, 0], ones), abs=1e-9)
    assert error <= squared_error(before, uniform, ones) + 1e-9


def test_two_groups_by_hand() -> None:
    """tau = -1 / ln(d / 4096): 9.995, 11.981 and 204.3 steps, three times each. Two settings part fast from slow; between the
    fast ones lies their geometric mean, 10.943: 4096 exp(-1 / 10.943) = 3738.3."""
    before = np.repeat([3706, 3768, 4076], 3)
    found, _ = reduce_tuples(before[:, None], ("decay_v",), 2, np.random.default_rng(0))
    assert found[:, 0].tolist() == [3738] * 6 + [4076] * 3


def alif(n: int, **constants) -> ALIF:
    common = {"v_th": 4000, "decay_v": 3900, "decay_a": 4080, "kappa": 100, "reset": "to_value", "adaptation": "current"}
    return ALIF.of("p", n, **common | constants, precision="integer")


def net(p: Population) -> Graph:
    weights = np.full((2, p.n), 100, np.int64)
    return Graph(1e-3, (Input("in", 2), p), (Projection.from_dense("in", p.name, weights),))


def spread(n: int, low: int = 3000, high: int = 4090) -> np.ndarray:
    return np.linspace(low, high, n).round().astype(np.int64)


def test_report_tells_numbers_and_errors() -> None:
    """100 time constants become 31; the errors are those of tau = -1 / ln(decay)."""
    p = LIF.of("p", 100, decay_v=spread(100), v_th=spread(100), reset="to_value", precision="integer")
    graph, report = cluster(net(p), LOIHI1, np.random.default_rng(0))
    (told,), q = report.populations, graph.population("p")
    assert isinstance(q, LIF)
    assert (report.settings_allowed, report.thresholds_allowed) == (31, 7) == allowed(LOIHI1)
    assert (told.settings, told.thresholds) == ((100, 31), (100, 7))
    error = np.abs(np.log(p.decay_v / 4096) / np.log(q.decay_v / 4096) - 1)
    assert told.changes["decay_v"].mean == pytest.approx(error.mean())
    assert told.changes["decay_v"].largest == pytest.approx(error.max())
    assert told.changes["v_th"].largest == pytest.approx(np.abs(q.v_th / p.v_th - 1).max())
    assert 0 < error.max() < 0.2
    assert graph.metadata["clustered_from"] == net(p).digest()
    assert report.to_dict()["populations"][0]["settings"] == (100, 31)


def test_what_is_shared_out_is_kept() -> None:
    p = LI.of("y", 50, decay_v=spread(50), precision="integer")
    graph, report = cluster(net(p), LOIHI1, np.random.default_rng(0), settings=5)
    assert report.populations[0].settings == (50, 5)
    assert len(np.unique(graph.readouts[0].decay_v)) == 5


def test_the_auxiliary_compartment_has_settings_of_its_own() -> None:
    """Loihi 1 gives an ALIF two compartments: 40 membrane and 40 adaptation constants are 80 settings, brought to 31 together.
    Where a chip has one compartment for both, a tuple is one setting."""
    p = alif(40, decay_v=spread(40), decay_a=spread(40, 4000, 4095))
    assert count_settings(p, LOIHI1) == (80, 1)
    assert count_settings(p, LOIHI2) == (40, 1)
    graph, report = cluster(net(p), LOIHI1, np.random.default_rng(0))
    q = graph.population("p")
    assert isinstance(q, ALIF)
    assert report.populations[0].settings == (80, 31)
    assert len(np.unique(q.decay_v)) + len(np.unique(q.decay_a)) == 31
    assert set(report.populations[0].changes) == {"decay_v", "decay_a"}
    with pytest.raises(QuantizationError, match="'p': 1 settings; each of its 2 kinds needs one"):
        cluster(net(p), LOIHI1, np.random.default_rng(0), settings=1)


def test_tuples_find_clusters_that_are_there() -> None:
    """Nine tight clouds of (decay_v, decay_u): k-means puts one setting into each."""
    rng = np.random.default_rng(3)
    cloud = np.repeat(np.arange(9), 20)
    decay_v = np.array([3000, 3700, 4050])[cloud // 3] + rng.integers(-2, 3, 180)
    decay_u = np.array([500, 2000, 3500])[cloud % 3] + rng.integers(-2, 3, 180)
    p = LIF.of("p", 180, decay_v=decay_v, decay_u=decay_u, v_th=100, reset="to_value", precision="integer")
    graph, report = cluster(net(p), LOIHI1, rng, settings=9)
    q = graph.population("p")
    assert isinstance(q, LIF)
    assert report.populations[0].settings[1] == 9
    assert all(len(np.unique(q.decay_v[cloud == c])) == len(np.unique(q.decay_u[cloud == c])) == 1 for c in range(9))
    assert np.abs(q.decay_v - decay_v).max() <= 4
    again, _ = cluster(net(p), LOIHI1, np.random.default_rng(5), settings=9)
    assert count_settings(again.neurons[0], LOIHI1)[0] == 9


@settings(max_examples=25, deadline=None)
@given(graph=graphs(precision="integer", per_neuron=True, max_neurons=12), k=st.integers(2, 6), seed=st.integers(0, 9))
def test_invariants_on_random_graphs(graph: Graph, k: int, seed: int) -> None:
    """At most k; twice is once; enough settings change nothing; the same generator gives the same graph; nothing else changes."""
    once, report = cluster(graph, LOIHI1, np.random.default_rng(seed), settings=k, thresholds=k)
    for p, q, told in zip(graph.neurons, once.neurons, report.populations):
        assert (told.settings[0], told.thresholds[0]) == count_settings(p, LOIHI1)
        assert (told.settings[1], told.thresholds[1]) == count_settings(q, LOIHI1)
        assert told.settings[1] <= max(k, 0)
        assert told.thresholds[1] <= k
        same = set(p.PARAMETERS) - set(told.changes)
        assert all((getattr(p, name) == getattr(q, name)).all() for name in same)
    assert once.projections == graph.projections
    twice, again = cluster(once, LOIHI1, np.random.default_rng(seed + 1), settings=k, thresholds=k)
    assert twice == once
    assert not any(r.changes for r in again.populations)
    assert cluster(graph, LOIHI1, np.random.default_rng(seed), settings=k, thresholds=k)[0] == once
    assert cluster(graph, LOIHI1, np.random.default_rng(seed), settings=99, thresholds=99)[0] == graph


def test_a_chip_without_limits_changes_nothing() -> None:
    graph = net(alif(100, decay_v=spread(100), adaptation="threshold", reset="subtract"))
    same, report = cluster(graph, LOIHI2, np.random.default_rng(0))
    assert same is graph
    assert (report.settings_allowed, report.populations[0].settings) == (None, (100, 100))


def test_floats_are_refused() -> None:
    p = LIF.of("p", 2, decay_v=0.9, v_th=1.0)
    graph = Graph(1e-3, (Input("in", 2), p), (Projection.from_dense("in", "p", np.ones((2, 2))),))
    with pytest.raises(QuantizationError, match="holds floats; quantise it first"):
        cluster(graph, LOIHI1, np.random.default_rng(0))


def test_a_clustered_network_fits_a_core_and_fires_nearly_as_before() -> None:
    """200 LIF neurons of 10 to 100 ms, thresholds within 20 %: too many settings for a core, then few enough; the spikes differ little."""
    rng = np.random.default_rng(1)
    p = LIF.from_time_constants(
        "p", 200, dt=1e-3, tau_m=rng.uniform(10e-3, 100e-3, 200), v_th=rng.uniform(0.9, 1.1, 200), gain=1.0, reset="to_value"
    )
    floats = Graph(1e-3, (Input("in", 20), p), (Projection.from_dense("in", "p", rng.normal(0.05, 0.1, (20, 200))),))
    integers, report = quantize(floats, LOIHI1)
    assert report.populations[0].settings > report.settings_allowed == 31
    clustered, told = cluster(integers, LOIHI1, rng)
    whole = {"p": np.array([0, 200])}
    before, after = (demands(g, whole, LOIHI1)["p"] for g in (integers, clustered))
    assert before.compartment_profiles[0] > 32 > after.compartment_profiles[0]
    assert before.vth_profiles[0] > 8 > after.vth_profiles[0]
    assert told.populations[0].changes["decay_v"].largest < 0.1
    spikes = random_inputs(rng, integers, n_samples=4, n_steps=200)
    a, b = (backend("reference").run(g, spikes).spikes["p"].to_dense() for g in (integers, clustered))
    assert a.sum() > 1000
    assert abs(int(a.sum()) - int(b.sum())) < 0.05 * a.sum()


def test_the_limit_comes_from_the_profile() -> None:
    limits = {**LOIHI1.limits, "compartment_profiles_per_core": 11}
    p = LIF.of("p", 40, decay_v=spread(40), v_th=9, reset="to_value", precision="integer")
    _, report = cluster(net(p), with_fields(LOIHI1, limits=limits), np.random.default_rng(0))
    assert report.populations[0].settings == (40, 10)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --cluster the table tells 40 of 31 settings and changes none; with it 31 remain, told and saved."""
    p = LIF.from_time_constants("p", 40, dt=1e-3, tau_m=np.geomspace(5e-3, 0.1, 40), v_th=1.0, reset="to_value")
    save(tmp_path / "m.h5", Graph(1e-3, (Input("in", 2), p), (Projection.from_dense("in", "p", np.ones((2, 40))),)))

    def call(*options: str) -> str:
        result = CliRunner().invoke(app, ["quantize", str(tmp_path / "m.h5"), "--profile", "loihi1", *options])
        assert result.exit_code == 0, result.output
        return result.stdout

    monkeypatch.setattr(console, "width", 200)
    assert "40 of 31" in call()
    plain = json.loads(call("--json"))
    assert plain["clusters"] is None
    assert plain["projections"][0]["scale"] > 0
    assert "40 -> 31 of 31" in call("--cluster")
    told = json.loads(call("--cluster", "--json"))["clusters"]["populations"][0]
    assert told["settings"] == [40, 31]
    assert 0 < told["changes"]["decay_v"]["mean"] <= told["changes"]["decay_v"]["largest"] < 0.1
    assert count_settings(load(tmp_path / "m.loihi1.h5").neurons[0], LOIHI1) == (31, 1)
