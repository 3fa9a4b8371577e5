"""The LSNN and its export: the graph on the reference backend is the model."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.compare import compare
from neuromorph.errors import GraphError, TrainingError
from neuromorph.graph import ALIF, LIF
from neuromorph.spikes import Spikes
from neuromorph.train import LSNN, LSNNConfig, by_name, export, record
from neuromorph.train.losses import overshoots

torch.set_num_threads(1)
N_IN, N_OUT = 10, 3
SMALL = {"n_excitatory": 8, "n_inhibitory": 4, "n_adaptive": 6}


def sparse_model(config, n_in=N_IN, n_out=N_OUT, *, dt=1e-3, seed=0, density=0.4, dtype=torch.float32):
    """A model after `initialise` on random masks, and its signs."""
    generator = torch.Generator().manual_seed(seed)
    model = LSNN(config, n_in, n_out, dt=dt, generator=generator, dtype=dtype)
    signs = model.signs(generator)
    masks = {name: torch.rand(sign.shape, generator=generator) < density for name, sign in signs.items()}
    model.initialise(signs, masks)
    return model, signs, masks


def random_input(n_in, rate=0.2, steps=80, samples=3):
    return (np.random.default_rng(1).random((steps, samples, n_in)) < rate).astype(np.float64)


FORMS = [
    {},
    {"reset": "to_value", "adaptation": "current", "n_ref": 0},
    {"reset": "to_value", "tau_a": (20e-3, 400e-3), "n_ref": 2},
    {"adaptation": "current", "surrogate": "triangle"},
    {"max_input_delay": 5, "max_readout_delay": 9},
    {"n_adaptive": 0},
    {"n_excitatory": 0, "n_inhibitory": 0},
    {"max_recurrent_delay": 7},
    {"learned": ("tau_m", "tau_a"), "tau_a": (20e-3, 400e-3)},
    {"n_layers": 2},
    {
        "n_layers": 3, "n_adaptive": 9, "max_input_delay": 3, "max_recurrent_delay": 4, "max_readout_delay": 5,
        "learned": ("tau_m", "tau_a"), "surrogate": "multi_gaussian", "reset": "to_value", "input_signs": "neuron",
    },
]  # fmt: skip


def disturb(model, seed=7):
    """Time constants that differ in every neuron, where they are learned."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for raw in model.time_constants().values():
            raw += torch.randn(raw.shape, generator=generator)


def hidden_spikes(recording, config, dt):
    """In the order of the model's z."""
    names = [f"{p.name}{suffix}" for suffix in config.suffixes for p in config.populations(dt)]
    assert list(names) == [name for name in recording.spikes if name != "input"]
    return np.concatenate([recording.spikes[name].to_dense() for name in names], axis=2)


@pytest.mark.parametrize("changes", FORMS)
@pytest.mark.parametrize("seed", range(2))
def test_graph_runs_as_the_model(changes, seed):
    """float64, spike for spike in every population and y to 1e-12."""
    config = LSNNConfig(**{**SMALL, **changes})
    dt = 1e-3 * (1 + seed)
    model, signs, _ = sparse_model(config, seed=seed, dt=dt, dtype=torch.float64)
    disturb(model)
    x = random_input(N_IN)
    graph = export(model, signs=signs)
    recording = ReferenceBackend().run(graph, Spikes.from_dense(x, dt))
    with torch.no_grad():
        y, z = model(torch.as_tensor(x))
    assert 0.01 < z.mean() < 0.4
    np.testing.assert_array_equal(hidden_spikes(recording, config, dt), z.numpy())
    assert z.shape[2] == config.n * config.n_layers
    assert z[..., -config.n :].any()
    np.testing.assert_allclose(recording.readouts["readout"], y, rtol=0, atol=1e-12)
    assert y.std() > 1e-3


def test_structure_and_metadata():
    model, signs, _ = sparse_model(LSNNConfig(**SMALL))
    graph = export(model, signs=signs, metadata={"task": "none"})
    assert [p.name for p in graph.populations] == ["input", "excitatory", "inhibitory", "adaptive", "readout"]
    assert [type(p).__name__ for p in graph.populations] == ["Input", "LIF", "LIF", "ALIF", "LI"]
    assert graph.metadata == {"task": "none"}
    modes = {p.name: p.sign_mode for p in graph.projections}
    assert len(modes) == 3 + 9 + 3
    for name, mode in modes.items():
        source = name.split("->")[0]
        assert mode == {"input": "mixed", "inhibitory": "inhibitory"}.get(source, "excitatory"), name
    assert all((p.delays == 1).all() for p in graph.projections)
    assert graph.n_synapses == sum(int(w.count_nonzero()) for w in model.weights().values())


def test_constants_and_weights_are_those_the_float32_cell_used():
    model, _, _ = sparse_model(LSNNConfig(**SMALL))
    graph = export(model)
    adaptive = graph.population("adaptive")
    assert isinstance(adaptive, ALIF)
    for name in ALIF.PARAMETERS:
        np.testing.assert_array_equal(getattr(adaptive, name), getattr(model.layers()[""].p, name)[12:].numpy().astype(np.float64))
    assert adaptive.kappa[0] == np.float64(np.float32(1.8 * (1 - np.exp(-1 / 200))))
    np.testing.assert_array_equal(
        graph.projection("inhibitory->adaptive").to_dense(6), model.weights()["recurrent"].detach().double().numpy()[12:, 8:12].T
    )
    assert graph.projection("inhibitory->adaptive").signs is None


def test_learned_constants_are_those_of_the_model_in_float64():
    """A model trained in float32 is exported as its float64 copy computes."""
    config = LSNNConfig(**SMALL, learned=("tau_m", "tau_a"), max_recurrent_delay=3)
    model, _, _ = sparse_model(config)
    disturb(model)
    double = copy.deepcopy(model).double()
    x, graph = random_input(N_IN), export(model)
    values = double.layers()[""].p.values()
    adaptive = graph.population("adaptive")
    assert isinstance(adaptive, ALIF)
    for name in ("decay_v", "gain", "decay_a", "kappa"):
        np.testing.assert_array_equal(getattr(adaptive, name), getattr(values, name)[12:].detach())
    assert len(np.unique(adaptive.decay_a)) == 6
    np.testing.assert_allclose(adaptive.gain, 1 - adaptive.decay_v, rtol=1e-12)
    np.testing.assert_allclose(adaptive.kappa, 1.8 * (1 - adaptive.decay_a), rtol=1e-6)
    recording = ReferenceBackend().run(graph, Spikes.from_dense(x, 1e-3))
    torch_recording = record(double, graph, Spikes.from_dense(x, 1e-3))
    assert compare(graph, torch_recording, recording).identical


def test_layers_are_wired_one_after_the_other():
    config = LSNNConfig(**SMALL, n_layers=2, max_recurrent_delay=4)
    model, signs, _ = sparse_model(config, density=1.0)
    graph = export(model, signs=signs)
    names = ["excitatory", "inhibitory", "adaptive"]
    deep = [f"{name}_2" for name in names]
    assert [p.name for p in graph.populations] == ["input", *names, *deep, "readout"]
    pairs = [(a, b) for a, b in ((p.source, p.target) for p in graph.projections)]
    wired = [(["input"], names), (names, names), (names, deep), (deep, deep), (deep, ["readout"])]
    assert sorted(pairs) == sorted((a, b) for sources, targets in wired for a in sources for b in targets)
    assert max(p.delays.max() for p in graph.projections if p.source in names) == 4
    assert list(model.weights()) == ["input", "recurrent", "input_2", "recurrent_2", "readout"]
    assert {name: s.shape for name, s in model.delays().items()} == {name: w.shape for name, w in model.weights().items()}


def test_bidirectional_networks_are_refused():
    model, _, _ = sparse_model(LSNNConfig(**SMALL, bidirectional=True))
    with pytest.raises(GraphError, match=r"bidirectional.*bidirectional=False"):
        export(model)


def test_empty_projections_are_left_out():
    config = LSNNConfig(**SMALL)
    model, signs, masks = sparse_model(config)
    masks["recurrent"][:] = False
    model.initialise(signs, masks)
    assert {p.name for p in export(model).projections} == {
        "input->excitatory",
        "input->inhibitory",
        "input->adaptive",
        "excitatory->readout",
        "inhibitory->readout",
        "adaptive->readout",
    }


def test_weight_against_its_sign_is_refused():
    model, signs, _ = sparse_model(LSNNConfig(**SMALL))
    with torch.no_grad():
        model.weights()["readout"][0, 0] = -0.5
    with pytest.raises(GraphError, match=r"excitatory->readout.*against its"):
        export(model, signs=signs)


def test_adapting_neurons_outside_of_the_adaptive_population_are_refused():
    model, _, _ = sparse_model(LSNNConfig(**SMALL))
    model.layers()[""].p.kappa[0] = 0.1
    with pytest.raises(GraphError, match="'excitatory' neurons have kappa"):
        export(model)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(0, 5)] * 3).filter(any),
    n_in=st.integers(1, 5),
    density=st.floats(0, 1),
    seed=st.integers(0, 2**31),
    n_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
)
def test_initialise_keeps_masks_signs_and_dale(sizes, n_in, density, seed, n_layers, bidirectional):
    names = ("n_excitatory", "n_inhibitory", "n_adaptive")
    config = LSNNConfig(**dict(zip(names, sizes)), n_layers=n_layers, bidirectional=bidirectional)
    model, signs, masks = sparse_model(config, n_in, 2, seed=seed, density=density)
    inhibitory = slice(sizes[0], sizes[0] + sizes[1])
    for name, weights in model.weights().items():
        if name.startswith("recurrent"):
            masks[name].fill_diagonal_(False)
        assert torch.equal(weights != 0, masks[name])
        assert torch.equal(torch.sign(weights), signs[name] * masks[name])
        assert bool((signs[name].abs() == 1).all())
    assert len(model.weights()) == 2 * n_layers * config.directions + 1
    for name, sign in signs.items():
        if name not in ("input", "input_reversed"):
            for block in sign.split(config.n, dim=1):
                assert bool((block[:, inhibitory] == -1).all())
                assert int((block < 0).sum()) == sizes[1] * len(sign)


@pytest.mark.parametrize(("density", "rate"), [(0.1, 0.05), (0.2, 0.05), (1.0, 0.05), (0.2, 0.1)])
def test_starts_at_a_healthy_firing_rate(density, rate):
    """Neither silent nor saturated, each population, in hertz."""
    config = LSNNConfig(n_excitatory=60, n_inhibitory=20, n_adaptive=40)
    model, _, _ = sparse_model(config, 80, 10, density=density)
    with torch.no_grad():
        _, z = model(torch.as_tensor(random_input(80, rate=rate, steps=150, samples=16)).float())
    hertz = z[50:].mean((0, 1)) / model.dt
    for part in (slice(0, 60), slice(60, 80), slice(80, 120)):
        assert 3 < hertz[part].mean() < 80


def test_each_deeper_layer_gets_input_and_gradient():
    """All weights and time constants of three layers, in both directions, are reached by a loss on the readout."""
    config = LSNNConfig(**SMALL, n_layers=3, bidirectional=True, learned=("tau_m", "tau_a"), max_recurrent_delay=2, max_readout_delay=2)
    model, _, _ = sparse_model(config, density=1.0, dtype=torch.float64)
    y, z = model(torch.as_tensor(random_input(N_IN, steps=60)))
    assert z.shape == (60, 3, 3 * 2 * 18)
    assert (z.reshape(60, 3, 6, 18).sum((0, 1, 3)) > 0).all()
    y.square().sum().backward()
    parameters = model.weights() | model.time_constants()
    assert len(parameters) == 13 + 12
    assert {id(p) for p in parameters.values()} == {id(p) for p in model.parameters()}
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_reversed_layers_run_on_the_reversed_sequence():
    """Two layers with both directions built by hand from one-directional ones with the same weights."""
    config = LSNNConfig(**SMALL, n_layers=2, bidirectional=True, max_input_delay=3, max_recurrent_delay=3)
    model, _, _ = sparse_model(config, dtype=torch.float64)
    x = torch.as_tensor(random_input(N_IN))
    with torch.no_grad():
        y, z = model(x)
        below, expected = x, []
        for depth in ("", "_2"):
            ahead, back = (model.layers()[depth + way] for way in ("", "_reversed"))
            below = torch.cat([ahead(below)[0], back(below.flip(0))[0].flip(0)], dim=-1)
            expected.append(below)
    assert torch.equal(z, torch.cat(expected, dim=-1))
    assert y.shape == (len(x), 3, N_OUT)
    assert z.reshape(len(x), 3, 4, 18).mean((0, 1, 3)).min() > 0.005


def test_decisions_and_frames():
    model, _, _ = sparse_model(LSNNConfig(**SMALL, n_layers=2), dtype=torch.float64)
    x = torch.as_tensor(random_input(N_IN))
    y, z = model(x)
    plain, full = model.decide(x > 0, 5), model.decide(x, 5, overshoot=True)
    torch.testing.assert_close(plain.logits, y[-5:].mean(0), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(plain.rates, z.mean((0, 1)), rtol=1e-12, atol=0)
    assert not plain.overshoot.any()
    frames = model.frames(x, overshoot=True)
    torch.testing.assert_close(frames.y, y, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(frames.overshoot, full.overshoot, rtol=1e-12, atol=0)
    below, expected = x, []
    for layer in model.layers().values():
        layer.record_states = True
        below, states = layer(below)
        expected.append(overshoots(states.v, states.theta))
    torch.testing.assert_close(full.overshoot, torch.cat(expected), rtol=1e-12, atol=0)
    torch.testing.assert_close(full.logits, plain.logits, rtol=1e-12, atol=1e-14)
    full.overshoot.sum().backward()
    assert all(w.grad.abs().sum() > 0 for name, w in model.weights().items() if name != "readout")


def test_a_sign_for_each_input_neuron():
    config = LSNNConfig(**SMALL, input_signs="neuron", bidirectional=True)
    _, signs, _ = sparse_model(config, n_in=80)
    assert (signs["input"] == signs["input"][0]).all()
    assert torch.equal(signs["input"], signs["input_reversed"])
    assert int((signs["input"][0] > 0).sum()) == 60
    assert not (signs["input"][0, :60] > 0).all(), "shuffled"


def test_surrogate_options_reach_the_neurons():
    config = LSNNConfig(**SMALL, surrogate="multi_gaussian", surrogate_options={"sigma": 0.02})
    model, _, _ = sparse_model(config)
    assert model.layers()[""].p.surrogate == by_name("multi_gaussian", sigma=0.02)
    assert LSNNConfig(**SMALL, gamma=0.4).spike_function() == by_name("bellec", gamma=0.4)


def test_delays_are_drawn_once_from_the_generator():
    config = LSNNConfig(**SMALL, max_input_delay=2, max_recurrent_delay=10, max_readout_delay=3)
    first, second = (sparse_model(config, seed=seed)[0].delays() for seed in (0, 0))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [(int(d.min()), int(d.max())) for d in first.values()] == [(1, 2), (1, 10), (1, 3)]
    assert not torch.equal(first["recurrent"], sparse_model(config, seed=1)[0].delays()["recurrent"])
    loaded, _, _ = sparse_model(config, seed=1)
    loaded.load_state_dict(sparse_model(config, seed=0)[0].state_dict())
    assert torch.equal(loaded.delays()["recurrent"], first["recurrent"])


def test_same_generator_same_model():
    models = [sparse_model(LSNNConfig(**SMALL), seed=4)[0] for _ in range(2)]
    for a, b in zip(*(model.parameters() for model in models)):
        assert torch.equal(a, b)


def test_populations_of_the_configuration():
    config = LSNNConfig(**SMALL, tau_a=(0.1, 0.3))
    excitatory, inhibitory, adaptive = config.populations(1e-3)
    assert [type(p) for p in (excitatory, inhibitory, adaptive)] == [LIF, LIF, ALIF]
    np.testing.assert_allclose(excitatory.decay_v, np.exp(-1 / 20))
    np.testing.assert_allclose(adaptive.decay_a, np.exp(-1e-3 / np.linspace(0.1, 0.3, 6)))
    np.testing.assert_allclose(adaptive.kappa, 1.8 * (1 - adaptive.decay_a))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_excitatory": 0, "n_inhibitory": 0, "n_adaptive": 0}, "n_adaptive is 0; at least 1"),
        ({"n_inhibitory": -1}, "n_inhibitory is -1"),
        ({"tau_a": (0.1, -0.1)}, r"tau_a is \(0.1, -0.1\)"),
        ({"v_th": 0.0}, "v_th is 0.0"),
        ({"n_layers": 0}, "n_layers is 0"),
        ({"max_recurrent_delay": 0}, "max_recurrent_delay is 0"),
        ({"learned": ("tau_s",)}, "learned tau_s is unknown"),
        ({"learned": ("tau_m",), "tau_m_bounds": (30e-3, 50e-3)}, r"tau_m is 0.02; .* within tau_m_bounds \(0.03, 0.05\)"),
    ],
)
def test_configuration_is_checked(changes, message):
    with pytest.raises(TrainingError, match=message):
        LSNNConfig(**{**SMALL, **changes})


def test_unknown_surrogate_is_refused():
    with pytest.raises(TrainingError, match="Surrogate 'step' is unknown"):
        LSNN(LSNNConfig(**SMALL, surrogate="step"), N_IN, N_OUT, generator=torch.Generator())


@pytest.mark.parametrize(
    ("n_in", "n_out", "dt", "message"), [(0, 3, 1e-3, "n_in is 0"), (3, 0, 1e-3, "n_out is 0"), (3, 3, 0.0, "dt is 0")]
)
def test_size_and_step_are_checked(n_in, n_out, dt, message):
    with pytest.raises(TrainingError, match=message):
        LSNN(LSNNConfig(**SMALL), n_in, n_out, dt=dt, generator=torch.Generator())
