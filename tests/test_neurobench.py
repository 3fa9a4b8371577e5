"""NeuroBench counts what we count: its own metric objects on graphs as modules, against the reference and `counts.count`."""

import sys
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neurobench.benchmarks import Benchmark
from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
from neurobench.metrics.utils.layers import single_layer_MACs
from neurobench.metrics.workload import (
    ActivationSparsity,
    ActivationSparsityByLayer,
    ClassificationAccuracy,
    MembraneUpdates,
    NeuronOperations,
    SynapticOperations,
)
from neurobench.processors.postprocessors import ChooseMaxCount

from neuromorph.backends.base import match_inputs
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.errors import BackendError, GraphError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.hardware import load_profile
from neuromorph.neurobench import Network, Synapses, as_dataloader, as_model, measure, neurobench_model, synaptic_operations
from neuromorph.quantize import quantize
from neuromorph.spikes import Spikes
from tests.strategies import graphs, inputs

DT = 1e-3
STEPS, SAMPLES = 24, 5
Trains: TypeAlias = Spikes | Mapping[str, Spikes]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def trains(rng: np.random.Generator, n: int, rate: float = 0.2) -> Spikes:
    return Spikes.from_dense(rng.random((STEPS, SAMPLES, n)) < rate, DT)


def sparse(rng: np.random.Generator, source: Input | LIF, target: LIF | LI, mean: float, *, density=0.3, delays=1, name="") -> Projection:
    """Real weights whose sums round, a share `density` of all synapses, delays of 1..`delays` steps."""
    shape = source.n, target.n
    weights = rng.normal(mean, 0.3, shape) * (rng.random(shape) < density)
    return Projection.from_dense(source.name, target.name, weights, delays=rng.integers(1, delays, shape, endpoint=True), name=name)


def feed_forward() -> tuple[Graph, Trains]:
    rng = np.random.default_rng(1)
    i, a, b, y = Input("in", 12), *(LIF.of(name, 15, decay_v=0.9, v_th=0.3) for name in "ab"), LI.of("y", 3, decay_v=0.95)
    projections = (sparse(rng, i, a, 0.8, density=1.0), sparse(rng, a, b, 0.8, density=1.0), sparse(rng, b, y, 0.1))
    return Graph(DT, (i, a, b, y), projections), trains(rng, 12)


def lsnn() -> tuple[Graph, Trains]:
    """Excitatory, inhibitory and adaptive neurons with signs, one synapse in five and delays of up to 7 steps."""
    rng = np.random.default_rng(2)
    i, y = Input("in", 20), LI.from_time_constants("y", 4, dt=DT, tau_m=20e-3)
    lif = [LIF.from_time_constants(name, 12, dt=DT, tau_m=20e-3, v_th=0.1, n_ref=3) for name in ("excitatory", "inhibitory")]
    alif = ALIF.from_time_constants("adaptive", 16, dt=DT, tau_m=20e-3, v_th=0.1, tau_a=0.2, beta=0.17, n_ref=3)
    hidden = (*lif, alif)
    projections = []
    for source in (i, *hidden):
        for target in (*hidden, y) if source is not i else hidden:
            signs = -1 if source.name == "inhibitory" else 1
            shape = source.n, target.n
            weights = signs * rng.exponential(0.5, shape) * (rng.random(shape) < 0.2)
            delays = rng.integers(1, 8, shape)
            projections.append(Projection.from_dense(source.name, target.name, weights, signs=signs, delays=delays))
    return Graph(DT, (i, *hidden, y), tuple(projections)), trains(rng, 20, 0.1)


def parallel_integer() -> tuple[Graph, Trains]:
    """Two inputs, three projections between two populations, 8-bit weights."""
    rng = np.random.default_rng(3)
    left, right, y = Input("left", 8), Input("right", 5), LI.of("y", 2, decay_v=0.9)
    a = ALIF.of("a", 14, decay_v=0.9, v_th=0.3, decay_a=0.98, kappa=0.02)
    b = LIF.of("b", 9, decay_v=0.8, v_th=0.4, decay_u=0.5, reset="to_value")
    parallel = tuple(sparse(rng, a, b, 0.5, delays=2 * k + 1, name=f"a->b{k}") for k in range(3))
    others = sparse(rng, left, a, 1.0), sparse(rng, right, a, 0.8, delays=4), sparse(rng, right, b, 0.2), sparse(rng, b, a, -0.2)
    graph = Graph(DT, (right, a, left, b, y), (*parallel, *others, sparse(rng, b, y, 0.5)))
    integer, _ = quantize(graph, load_profile("loihi2_estimate"))
    return integer, {"left": trains(rng, 8), "right": trains(rng, 5)}


NETWORKS = {"feed forward": feed_forward, "lsnn": lsnn, "parallel integer": parallel_integer}


def same_as_reference(graph: Graph, given: Trains) -> None:
    """Every spike and every bit of every readout."""
    recording = ReferenceBackend().run(graph, given)
    by_name = match_inputs(graph, given)
    model = as_model(graph)
    fired: dict[str, list[np.ndarray]] = {p.name: [] for p in graph.neurons}
    for p in graph.neurons:
        membrane = model.neurons[f"{type(p).__name__}:{p.name}"]
        membrane.register_forward_hook(lambda _module, _drive, out, trace=fired[p.name]: trace.append(np.asarray(out)))
    x = np.concatenate([by_name[p.name].to_dense() for p in graph.inputs], axis=2)
    y = model(torch.tensor(x).transpose(0, 1)).transpose(0, 1).numpy()
    for name, spikes in recording.spikes.items():
        np.testing.assert_array_equal(np.stack(fired[name]), spikes.to_dense())
    for name, trace in recording.readouts.items():
        np.testing.assert_array_equal(np.stack(fired[name]), trace)
    if graph.readouts:
        np.testing.assert_array_equal(y, np.concatenate([recording.readouts[p.name] for p in graph.readouts], axis=2))


def same_counts(graph: Graph, given: Trains) -> int:
    """NeuroBench's operations times samples are our synaptic operations; returns them."""
    recording = ReferenceBackend().run(graph, given)
    ours = sum(count(graph, given, recording).totals()["synops"].values())
    entries = sum(p.n_source * graph.population(p.target).n for p in graph.projections)
    expected = {"Effective_MACs": 0, "Effective_ACs": ours / recording.n_samples, "Dense": entries * recording.n_steps}
    assert synaptic_operations(graph, given) == expected
    return ours


@pytest.mark.parametrize("network", NETWORKS)
def test_three_networks(network):
    graph, given = NETWORKS[network]()
    recording = ReferenceBackend().run(graph, given)
    assert all(len(spikes) > 20 for spikes in recording.spikes.values())  # else the test would say little
    same_as_reference(graph, given)
    assert same_counts(graph, given) > 1000


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from(["float", "integer"]))
def test_any_graph(data, precision):
    graph = data.draw(graphs(precision=precision))
    given_spikes = data.draw(inputs(graph, n_samples=3, n_steps=8))
    same_as_reference(graph, given_spikes)
    same_counts(graph, given_spikes)


def test_long_sums_round_as_those_of_the_reference():
    """Sixty synapses a neuron, half of which speak at each step, of five delays: any other order of adding gives other bits."""
    rng = np.random.default_rng(6)
    i, n, y = Input("i", 60), LIF.of("n", 9, decay_v=0.9, v_th=1.0), LI.of("y", 2, decay_v=0.9)
    projections = sparse(rng, i, n, 0.1, density=1, delays=5), sparse(rng, i, y, 0.1, density=1, delays=5), sparse(rng, n, y, 0.3)
    same_as_reference(Graph(DT, (i, n, y), projections), trains(rng, 60, 0.5))


def test_a_spike_of_the_last_step_counts_whatever_its_delay():
    neuron = LIF.of("n", 3, decay_v=0.5, v_th=1.0)
    graph = Graph(DT, (Input("i", 1), neuron), (Projection.from_dense("i", "n", [[1.0, 0.0, 1.0]], delays=9),))
    last = Spikes.from_events([0], [4], [0], n_samples=1, n_steps=5, n_neurons=1, dt=DT)
    assert synaptic_operations(graph, last) == {"Effective_MACs": 0, "Effective_ACs": 2, "Dense": 15}


def test_integers_wrap_and_clip_as_the_reference():
    rng = np.random.default_rng(4)
    a = ALIF.of("a", 6, decay_v=4000, v_th=2**12, decay_a=3800, kappa=6_000_000, decay_u=3000, precision="integer")
    weights = rng.integers(-120, 127, (4, 6)) * 2
    graph = Graph(
        DT,
        (Input("i", 4), a, LI.of("y", 2, decay_v=4095, precision="integer")),
        (
            Projection.from_dense("i", "a", weights, weight_exp=9, delays=rng.integers(1, 4, (4, 6))),
            Projection.from_dense("a", "y", weights[:2].T, weight_exp=-3),
        ),
    )
    given_spikes = trains(rng, 4, 0.5)
    assert set(ReferenceBackend().run(graph, given_spikes).saturations) >= {"a.u", "a.v", "a.a"}
    same_as_reference(graph, given_spikes)
    same_counts(graph, given_spikes)


def test_static_metrics_and_activation_sparsity_are_our_numbers():
    graph, given = lsnn()
    recording = ReferenceBackend().run(graph, given)
    found = measure(graph, given)
    entries = sum(p.n_source * graph.population(p.target).n for p in graph.projections)
    spiking = [p for p in graph.neurons if isinstance(p, LIF)]
    constants = sum(p.n * len(p.PARAMETERS) for p in graph.neurons)
    assert found["ParameterCount"] == entries
    assert found["Footprint"] == 8 * (2 * entries + constants)  # weights, delays
    assert found["ConnectionSparsity"] == pytest.approx(1 - graph.n_synapses / entries, abs=6e-5)  # of 4 decimals
    cells = sum(p.n for p in spiking) * STEPS * SAMPLES
    assert found["ActivationSparsity"] == pytest.approx(1 - sum(map(len, recording.spikes.values())) / cells, rel=1e-12)
    assert found["Effective_ACs"] == sum(count(graph, given, recording).per_inference()["synops"].values())


def test_projections_of_one_step_hold_no_delays():
    graph, given = feed_forward()
    entries = 12 * 15 + 15 * 15 + 15 * 3
    assert measure(graph, given)["Footprint"] == 8 * (entries + 2 * 15 * 7 + 3 * 4)


def test_benchmark_runs_as_its_users_expect(capsys):
    graph, given = lsnn()
    recording = ReferenceBackend().run(graph, given)
    classes = recording.readouts["y"].sum(axis=0).argmax(axis=-1)
    labels = np.where(np.arange(SAMPLES) == 0, (classes + 1) % 4, classes)
    loader = as_dataloader(graph, given, labels, batch_size=3)
    spikes, target = next(iter(loader))
    assert spikes.shape == (3, STEPS, 20)
    assert target.tolist() == labels[:3].tolist()
    static = [ParameterCount, Footprint, ConnectionSparsity]
    workload = [ClassificationAccuracy, ActivationSparsity, ActivationSparsityByLayer, SynapticOperations, MembraneUpdates]
    result = Benchmark(neurobench_model(graph), loader, [], [ChooseMaxCount()], [static, workload]).run(quiet=True)
    assert "Error" not in capsys.readouterr().out
    assert result["ClassificationAccuracy"] == pytest.approx(1 - 1 / SAMPLES)
    operations = sum(count(graph, given, recording).per_inference()["synops"].values())
    assert result["SynapticOperations"]["Effective_ACs"] == pytest.approx(operations, rel=1e-12)
    assert result["ParameterCount"] == sum(p.n_source * graph.population(p.target).n for p in graph.projections)
    rates = {name: len(spikes) / (spikes.n_neurons * STEPS * SAMPLES) for name, spikes in recording.spikes.items()}
    by_layer = {f"{type(graph.population(name)).__name__}:{name}": pytest.approx(1 - rate, rel=1e-12) for name, rate in rates.items()}
    assert result["ActivationSparsityByLayer"] == by_layer
    assert result["MembraneUpdates"] == 0


def test_neuron_operations_fail_and_the_benchmark_says_zero(capsys):
    graph, given = feed_forward()
    loader = as_dataloader(graph, given, np.zeros(SAMPLES))
    result = Benchmark(neurobench_model(graph), loader, [], [], [[], [NeuronOperations]]).run()
    assert result == {"NeuronOperations": 0.0}
    assert "Error running workload metric 'NeuronOperations'" in capsys.readouterr().out


def test_every_layer_is_called_once_a_step_with_binary_input():
    graph, given = parallel_integer()
    model = neurobench_model(graph)
    model.register_hooks()
    data = next(iter(as_dataloader(graph, given, np.zeros(SAMPLES))))
    model(data[0])
    assert len(model.connection_hooks) == len(graph.projections)
    assert [hook.name for hook in model.activation_hooks] == ["ALIF:a", "LIF:b"]
    for hook in model.connection_hooks:
        assert len(hook.inputs) == STEPS
        assert all(len(call) == 1 and torch.isin(call[0], torch.tensor([0.0, 1.0])).all() for call in hook.inputs)


def test_silence_counts_as_no_operation():
    graph, _ = feed_forward()
    silent = Spikes.from_dense(np.zeros((STEPS, 2, 12), dtype=np.bool_), DT)
    assert same_counts(graph, silent) == 0


def full(n: int) -> Synapses:
    return Synapses(Projection.from_dense("a", "b", np.ones((n, n))), n)


def test_float32_rounds_what_float64_counts():
    z, true = torch.ones(255, 257), 255 * 257 * 257  # odd and above 2^24
    assert single_layer_MACs(z.double(), full(257)) == (true, True)
    rounded, spiking = single_layer_MACs(z, full(257).float())
    assert spiking
    assert rounded != true


def test_graded_spikes_are_refused_and_neurobench_would_call_them_macs():
    graph, _ = feed_forward()
    x = torch.zeros(1, STEPS, 12)
    x[0, 3, 4] = 2
    with pytest.raises(GraphError, match="no graded spikes"):
        as_model(graph)(x)
    assert single_layer_MACs(torch.full((1, 3), 2.0).double(), full(3)) == (9, False)


def test_names_that_modules_do_not_take():
    i, forward, values = Input("in.put", 3), LIF.of("forward", 4, decay_v=0.9, v_th=0.1), LIF.of("a.b", 2, decay_v=0.9, v_th=0.1)
    rng = np.random.default_rng(5)
    graph = Graph(DT, (i, forward, values), (sparse(rng, i, forward, 1.0, density=1, name="keys"), sparse(rng, forward, values, 1.0)))
    given = trains(rng, 3)
    model = as_model(graph)
    assert list(model.neurons) == ["LIF:forward", "LIF:a:b"]
    x = torch.tensor(given.to_dense()).transpose(0, 1)
    last = ReferenceBackend().run(graph, given).spikes["a.b"]  # no readout: the last population's spikes come out
    np.testing.assert_array_equal(model(x).transpose(0, 1).numpy(), last.to_dense())
    same_counts(graph, given)


def test_making_a_module_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    model = as_model(lsnn()[0])
    assert torch.equal(before, torch.random.get_rng_state())
    assert isinstance(model, Network)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_errors_name_what_is_wrong(monkeypatch):
    graph, given = feed_forward()
    with pytest.raises(GraphError, match=r"\(1, 24, 11\); wanted \(batch, time >= 1, 12 input channels\)"):
        as_model(graph)(torch.zeros(1, STEPS, 11))
    with pytest.raises(GraphError, match="4 labels for 5 samples"):
        as_dataloader(graph, given, np.zeros(4))
    with pytest.raises(GraphError, match="no projections"):
        as_model(graph.replace(projections=()))
    monkeypatch.setitem(sys.modules, "neurobench.models", None)
    with pytest.raises(BackendError, match="uv pip install --no-deps neurobench"):
        synaptic_operations(graph, given)
