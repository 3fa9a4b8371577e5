"""The LSNN and its export: the graph on the reference backend is the model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError, TrainingError
from neuromorph.graph import ALIF, LIF
from neuromorph.spikes import Spikes
from neuromorph.train import LSNN, LSNNConfig, export

torch.set_num_threads(1)
SMALL = {"n_in": 10, "n_excitatory": 8, "n_inhibitory": 4, "n_adaptive": 6, "n_out": 3}


def sparse_model(config, *, seed=0, density=0.4, dtype=torch.float32):
    """A model after `initialise` on random masks, and its signs."""
    generator = torch.Generator().manual_seed(seed)
    model = LSNN(config, generator=generator, dtype=dtype)
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
    {"adaptation": "current", "surrogate": "triangle", "dt": 2e-3},
    {"max_input_delay": 5, "max_readout_delay": 9},
    {"n_adaptive": 0},
    {"n_excitatory": 0, "n_inhibitory": 0},
]


@pytest.mark.parametrize("changes", FORMS)
@pytest.mark.parametrize("seed", range(2))
def test_graph_runs_as_the_model(changes, seed):
    """float64, spike for spike in every population and y to 1e-12."""
    config = LSNNConfig(**{**SMALL, **changes})
    model, signs, _ = sparse_model(config, seed=seed, dtype=torch.float64)
    x = random_input(config.n_in)
    graph = export(model, signs=signs)
    recording = ReferenceBackend().run(graph, Spikes.from_dense(x, config.dt))
    with torch.no_grad():
        y, z = model(torch.as_tensor(x))
    assert 0.01 < z.mean() < 0.4
    order = [name for name in ("excitatory", "inhibitory", "adaptive") if name in recording.spikes]
    assert len(order) == len(config.populations())
    np.testing.assert_array_equal(np.concatenate([recording.spikes[name].to_dense() for name in order], axis=2), z.numpy())
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
        np.testing.assert_array_equal(getattr(adaptive, name), getattr(model.hidden.p, name)[12:].numpy().astype(np.float64))
    assert adaptive.kappa[0] == np.float64(np.float32(1.8 * (1 - np.exp(-1 / 200))))
    np.testing.assert_array_equal(
        graph.projection("inhibitory->adaptive").to_dense(6), model.weights()["recurrent"].detach().double().numpy()[12:, 8:12].T
    )
    assert graph.projection("inhibitory->adaptive").signs is None


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
    model.hidden.p.kappa[0] = 0.1
    with pytest.raises(GraphError, match="'excitatory' neurons have kappa"):
        export(model)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(0, 5)] * 3).filter(any),
    n_in=st.integers(1, 5),
    density=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_initialise_keeps_masks_signs_and_dale(sizes, n_in, density, seed):
    names = ("n_excitatory", "n_inhibitory", "n_adaptive")
    model, signs, masks = sparse_model(LSNNConfig(n_in=n_in, n_out=2, **dict(zip(names, sizes))), seed=seed, density=density)
    inhibitory = slice(sizes[0], sizes[0] + sizes[1])
    for name, weights in model.weights().items():
        masks["recurrent"].fill_diagonal_(False)
        assert torch.equal(weights != 0, masks[name])
        assert torch.equal(torch.sign(weights), signs[name] * masks[name])
        assert bool((signs[name].abs() == 1).all())
    for name in ("recurrent", "readout"):
        assert bool((signs[name][:, inhibitory] == -1).all())
        assert int((signs[name] < 0).sum()) == sizes[1] * len(signs[name])


@pytest.mark.parametrize(("density", "rate"), [(0.1, 0.05), (0.2, 0.05), (1.0, 0.05), (0.2, 0.1)])
def test_starts_at_a_healthy_firing_rate(density, rate):
    """Neither silent nor saturated, each population, in hertz."""
    config = LSNNConfig(n_in=80, n_excitatory=60, n_inhibitory=20, n_adaptive=40, n_out=10)
    model, _, _ = sparse_model(config, density=density)
    with torch.no_grad():
        _, z = model(torch.as_tensor(random_input(80, rate=rate, steps=150, samples=16)).float())
    hertz = z[50:].mean((0, 1)) / config.dt
    for part in (slice(0, 60), slice(60, 80), slice(80, 120)):
        assert 3 < hertz[part].mean() < 80


def test_same_generator_same_model():
    models = [sparse_model(LSNNConfig(**SMALL), seed=4)[0] for _ in range(2)]
    for a, b in zip(*(model.parameters() for model in models)):
        assert torch.equal(a, b)


def test_populations_of_the_configuration():
    config = LSNNConfig(**SMALL, tau_a=(0.1, 0.3))
    excitatory, inhibitory, adaptive = config.populations()
    assert [type(p) for p in (excitatory, inhibitory, adaptive)] == [LIF, LIF, ALIF]
    np.testing.assert_allclose(excitatory.decay_v, np.exp(-1 / 20))
    np.testing.assert_allclose(adaptive.decay_a, np.exp(-1e-3 / np.linspace(0.1, 0.3, 6)))
    np.testing.assert_allclose(adaptive.kappa, 1.8 * (1 - adaptive.decay_a))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_in": 0}, "n_in is 0"),
        ({"n_excitatory": 0, "n_inhibitory": 0, "n_adaptive": 0}, "n_adaptive is 0; at least 1"),
        ({"n_inhibitory": -1}, "n_inhibitory is -1"),
        ({"tau_a": (0.1, -0.1)}, r"tau_a is \(0.1, -0.1\)"),
        ({"v_th": 0.0}, "v_th is 0.0"),
    ],
)
def test_configuration_is_checked(changes, message):
    with pytest.raises(TrainingError, match=message):
        LSNNConfig(**{**SMALL, **changes})


def test_unknown_surrogate_is_refused():
    with pytest.raises(TrainingError, match="Surrogate 'step' is unknown"):
        LSNN(LSNNConfig(**SMALL, surrogate="step"), generator=torch.Generator())
