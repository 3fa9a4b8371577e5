"""The PyTorch cell: golden vectors, the reference backend as peer, gradients against a derivation by hand."""

import copy
import itertools

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import TrainingError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.spikes import Spikes
from neuromorph.train import LeakyReadout, LSNNConstants, LSNNRecurrent, LSNNRecurrentCell, bellec, by_name

torch.set_num_threads(1)
FORMS = list(itertools.product(("subtract", "to_value"), ("threshold", "current")))
N_IN, N, N_OUT, STEPS, BATCH = 6, 9, 3, 40, 3


def parameter(array):
    return nn.Parameter(torch.as_tensor(np.asarray(array, dtype=np.float64)).clone())


def layer(p, w_in, w_rec, **options):
    return LSNNRecurrent(np.shape(w_in)[1], p, input_weights=parameter(w_in), recurrent_weights=parameter(w_rec), **options)


def random_net(reset, adaptation, seed, **changes):
    """An adaptive population with constants that differ in every neuron, its weights, and input spikes."""
    rng = np.random.default_rng(seed)
    constants = {
        "decay_v": rng.uniform(0.7, 0.98, N),
        "decay_u": rng.uniform(0.0, 0.8, N) * (rng.random(N) < 0.7),
        "gain": rng.uniform(0.1, 0.5, N),
        "bias": rng.normal(0, 0.02, N),
        "v_th": rng.uniform(0.4, 1.2, N),
        "v_reset": rng.uniform(-0.3, 0.1, N),
        "n_ref": rng.integers(0, 4, N),
        "decay_a": rng.uniform(0.5, 0.99, N),
        "kappa": rng.uniform(0.05, 0.4, N) * (rng.random(N) < 0.7),
    }
    population = ALIF.of("hidden", N, **{**constants, **changes}, reset=reset, adaptation=adaptation)
    weights = {"input": rng.normal(0.3, 0.8, (N, N_IN)), "recurrent": rng.normal(0, 0.6, (N, N)), "readout": rng.normal(0, 1, (N_OUT, N))}
    np.fill_diagonal(weights["recurrent"], 0)
    x = (rng.random((STEPS, BATCH, N_IN)) < 0.3).astype(np.float64)
    return population, weights, x


def run_layer(population, weights, x, state=None, **options):
    p = LSNNConstants.of(population, dtype=torch.float64)
    with torch.no_grad():
        return layer(p, weights["input"], weights["recurrent"], **options)(torch.as_tensor(x), state)


GOLDEN = {
    "lif": (
        {"reset": "subtract"},
        (0.75, [1, 1, 1, 1, 0, 0, 0]),
        ([0, 0.75, 1.125, 0.3125, 0.90625, 0.453125, 0.2265625], [0, 0, 1, 0, 0, 0, 0]),
    ),
    "alif": (
        {"reset": "subtract", "decay_a": 0.5, "kappa": 0.5},
        (1.5, [1, 1, 1, 1, 1, 0, 0]),
        ([0, 1.5, 1.25, 2.125, 1.3125, 2.15625, -0.234375], [0, 1, 0, 1, 0, 1, 0]),
    ),
    "current": (
        {"reset": "subtract", "decay_a": 0.5, "kappa": 0.5, "adaptation": "current"},
        (1.5, [1, 1, 1, 0, 0]),
        ([0, 1.5, 0.75, 1.625, -0.8125], [0, 1, 0, 1, 0]),
    ),
    "to_value, refractory": (
        {"reset": "to_value", "v_reset": 0.25, "n_ref": 2},
        (1.5, [1, 1, 1, 1, 1, 0, 0]),
        ([0, 1.5, 1.625, 2.3125, 2.65625, 1.625, 0.8125], [0, 1, 0, 0, 1, 0, 0]),
    ),
    "synaptic current": (
        {"reset": "subtract", "decay_u": 0.5},
        (1.0, [1, 0, 0, 0, 0]),
        ([0, 1.0, 1.0, 0.75, 0.5], [0, 0, 0, 0, 0]),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_vectors(name):
    """One neuron, decay 1/2, gain 1, threshold 1, worked by hand in binary fractions; input arrives one step later."""
    constants, (weight, x), (v, z) = GOLDEN[name]
    p = LSNNConstants(1, decay_v=0.5, gain=1.0, v_th=1.0, **constants, dtype=torch.float64)
    spikes = torch.tensor(x, dtype=torch.float64).reshape(-1, 1, 1)
    out, states = layer(p, [[weight]], [[0.0]], record_states=True)(spikes)
    assert states.v.flatten().tolist() == v
    assert out.flatten().tolist() == z


@pytest.mark.parametrize(("reset", "adaptation"), FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_reference_backend(reset, adaptation, seed):
    """float64: spike for spike, and v and a to 1e-12, with every constant different in every neuron."""
    population, weights, x = random_net(reset, adaptation, seed)
    wiring = [("input", "hidden", weights["input"].T), ("hidden", "hidden", weights["recurrent"].T)]
    graph = Graph(1e-3, (Input("input", N_IN), population), tuple(Projection.from_dense(*w) for w in wiring))
    expected = ReferenceBackend().run(graph, Spikes.from_dense(x, 1e-3), states=["hidden"])
    z, states = run_layer(population, weights, x, record_states=True)
    dense = expected.spikes["hidden"].to_dense()
    assert 0.02 < dense.mean() < 0.7
    np.testing.assert_array_equal(z.numpy(), dense)
    np.testing.assert_allclose(states.v, expected.states["hidden"]["v"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(states.a, expected.states["hidden"]["a"], rtol=0, atol=1e-12)


def test_lif_population_does_not_adapt():
    population, weights, x = random_net("subtract", "threshold", 0, kappa=0.0, n_ref=0, decay_u=0.0, bias=0.0)
    lif = LIF.of("hidden", N, **{field: getattr(population, field) for field in LIF.PARAMETERS}, reset="subtract")
    z, state = run_layer(lif, weights, x)
    assert LSNNConstants.of(lif).active() == (False, False, False, False)
    np.testing.assert_array_equal(z, run_layer(population, weights, x)[0])
    assert z.mean() > 0.02
    assert not state.a.any()


def bptt(population, weights, x, loss_z, decay_y, loss_y, gamma):
    """The adjoint of the step by hand. Loss = sum(loss_z z) + sum(loss_y y); returns z and dLoss/dW for each matrix.

    Names: b + variable is the loss's derivative with respect to it, `_next` at step t + 1.
    """
    p = population
    v, u, a, z = (np.zeros((STEPS + 1, BATCH, N)) for _ in range(4))
    theta, free = np.zeros((STEPS + 1, BATCH, N)), np.zeros((STEPS + 1, BATCH, N))
    quiet = np.full((BATCH, N), 99)
    x = np.concatenate([np.zeros((1, BATCH, N_IN)), x])
    for t in range(1, STEPS + 1):
        i = (x[t - 1] @ weights["input"].T if t > 1 else 0) + z[t - 1] @ weights["recurrent"].T
        u[t] = p.decay_u * u[t - 1] + i
        a[t] = p.decay_a * a[t - 1] + p.kappa * z[t - 1]
        theta[t] = p.v_th + (a[t] if p.adaptation == "threshold" else 0)
        start = np.where(z[t - 1] == 1, p.v_reset, v[t - 1]) if p.reset == "to_value" else v[t - 1]
        off = z[t - 1] * theta[t - 1] if p.reset == "subtract" else 0
        v[t] = p.decay_v * start + p.gain * u[t] + p.bias - off - (a[t] if p.adaptation == "current" else 0)
        free[t] = quiet >= p.n_ref
        z[t] = (v[t] > theta[t]) * free[t]
        quiet = np.where(z[t] == 1, 0, quiet + 1)
    gradient = {name: np.zeros_like(w) for name, w in weights.items()}
    bv_next, bu_next, ba_next = (np.zeros((BATCH, N)) for _ in range(3))
    by_next = np.zeros((BATCH, N_OUT))
    for t in range(STEPS, 0, -1):
        bz = loss_z[t - 1] + bu_next @ weights["recurrent"] + p.kappa * ba_next + (1 - decay_y) * by_next @ weights["readout"]
        psi = free[t] * gamma / theta[t] * np.maximum(0, 1 - np.abs(v[t] - theta[t]) / theta[t])
        if p.reset == "subtract":
            bz = bz - theta[t] * bv_next
            btheta, bv = -z[t] * bv_next - psi * v[t] / theta[t] * bz, p.decay_v * bv_next + psi * bz
        else:
            bz = bz + p.decay_v * (p.v_reset - v[t]) * bv_next
            btheta, bv = -psi * v[t] / theta[t] * bz, p.decay_v * (1 - z[t]) * bv_next + psi * bz
        ba = p.decay_a * ba_next + (btheta if p.adaptation == "threshold" else -bv)
        bu = p.gain * bv + p.decay_u * bu_next
        by = loss_y[t - 1] + decay_y * by_next
        if t > 1:
            gradient["input"] += bu.T @ x[t - 1]
            gradient["recurrent"] += bu.T @ z[t - 1]
            gradient["readout"] += (1 - decay_y) * by.T @ z[t - 1]
        bv_next, bu_next, ba_next, by_next = bv, bu, ba, by
    np.fill_diagonal(gradient["recurrent"], 0)
    return z[1:], gradient


@pytest.mark.parametrize(("reset", "adaptation"), FORMS)
@pytest.mark.parametrize("seed", range(2))
def test_gradient_equals_derivation_by_hand(reset, adaptation, seed):
    """All weights, both resets and adaptations, refractoriness, synaptic current, a loss on spikes and on the readout."""
    gamma, decay_y = 0.3, 0.8
    population, weights, x = random_net(reset, adaptation, seed)
    rng = np.random.default_rng(seed + 100)
    loss_z, loss_y = rng.normal(size=(STEPS, BATCH, N)), rng.normal(size=(STEPS, BATCH, N_OUT))
    z, expected = bptt(population, weights, x, loss_z, decay_y, loss_y, gamma)

    p = LSNNConstants.of(population, surrogate=bellec(gamma), dtype=torch.float64)
    hidden = layer(p, weights["input"], weights["recurrent"])
    readout = LeakyReadout(N, N_OUT, decay_v=decay_y, weights=parameter(weights["readout"]), dtype=torch.float64)
    out, _ = hidden(torch.as_tensor(x))
    y, _ = readout(out)
    ((torch.as_tensor(loss_z) * out).sum() + (torch.as_tensor(loss_y) * y).sum()).backward()
    np.testing.assert_array_equal(out.detach(), z)
    assert 0.02 < z.mean() < 0.7
    found = {"input": hidden.input_weights.grad, "recurrent": hidden.recurrent_weights.grad, "readout": readout.weights.grad}
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-9, atol=1e-9 * np.abs(expected[name]).max(), err_msg=name)


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
def test_blocked_spikes_have_no_gradient(reset):
    """A neuron that may never fire again after its first spike: only that step's derivative is left."""
    p = LSNNConstants(1, decay_v=0.5, gain=1.0, v_th=1.0, n_ref=99, reset=reset, dtype=torch.float64)
    hidden = layer(p, [[1.5]], [[0.0]])
    z, _ = hidden(torch.ones(5, 1, 1, dtype=torch.float64))
    assert z.flatten().tolist() == [0, 1, 0, 0, 0]
    z[2:].sum().backward()
    assert hidden.input_weights.grad.item() == 0


def test_cell_equals_layer():
    population, weights, x = random_net("subtract", "threshold", 5)
    p = LSNNConstants.of(population, dtype=torch.float64)
    cell = LSNNRecurrentCell(N_IN, p, input_weights=parameter(weights["input"]), recurrent_weights=parameter(weights["recurrent"]))
    state, spikes = None, []
    for step in torch.as_tensor(x):
        z, state = cell(step, state)
        spikes.append(z)
    expected, last = run_layer(population, weights, x)
    assert torch.equal(torch.stack(spikes), expected)
    for name in state._fields:
        np.testing.assert_allclose(getattr(state, name).detach(), getattr(last, name), atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("reset", "adaptation"), FORMS)
def test_state_carried_over_equals_one_run(reset, adaptation):
    population, weights, x = random_net(reset, adaptation, 6)
    readout = LeakyReadout(N, N_OUT, decay_v=0.9, decay_u=0.5, bias=0.1, weights=parameter(weights["readout"]), dtype=torch.float64)
    hidden = layer(LSNNConstants.of(population, dtype=torch.float64), weights["input"], weights["recurrent"])
    model = norse.SequentialState(hidden, readout)
    with torch.no_grad():
        whole, _ = model(torch.as_tensor(x))
        first, state = model(torch.as_tensor(x[:17]))
        second, _ = model(torch.as_tensor(x[17:]), state)
    np.testing.assert_allclose(torch.cat([first, second]), whole, rtol=0, atol=1e-12)
    assert whole.std() > 0.01


def test_readout_equals_the_reference_backend():
    rng = np.random.default_rng(2)
    weights, spikes = rng.normal(size=(N_OUT, N)), (rng.random((STEPS, BATCH, N)) < 0.2).astype(np.float64)
    constants = {"decay_v": rng.uniform(0.5, 1, N_OUT), "decay_u": rng.uniform(0, 0.9, N_OUT), "gain": rng.normal(size=N_OUT), "bias": 0.3}
    graph = Graph(1e-3, (Input("z", N), LI.of("y", N_OUT, **constants)), (Projection.from_dense("z", "y", weights.T),))
    expected = ReferenceBackend().run(graph, Spikes.from_dense(spikes, 1e-3)).readouts["y"]
    readout = LeakyReadout(N, N_OUT, **constants, weights=parameter(weights), dtype=torch.float64)
    y, _ = readout(torch.as_tensor(spikes))
    np.testing.assert_allclose(y.detach(), expected, rtol=0, atol=1e-12)


def test_trains_in_sequential_state_with_norse_layers():
    """Our layer between a torch and a Norse layer; every parameter gets a gradient."""
    generator = torch.Generator().manual_seed(0)
    p = LSNNConstants(N, decay_v=0.9, v_th=0.1, decay_a=0.9, kappa=0.05, surrogate=by_name("triangle"))
    model = norse.SequentialState(nn.Linear(N_IN, 8), LSNNRecurrent(8, p, generator=generator), norse.Lift(nn.Linear(N, 2)), norse.LI())
    y, state = model(torch.rand(STEPS, BATCH, N_IN, generator=generator))
    y.square().sum().backward()
    assert y.shape == (STEPS, BATCH, 2)
    assert type(state[1]).__name__ == "LSNNState"
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    assert not model[1].recurrent_weights.diagonal().any()
    assert not model[1].recurrent_weights.grad.diagonal().any()


def test_recorded_states():
    population, weights, x = random_net("subtract", "threshold", 7)
    z, states = run_layer(population, weights, x, record_states=True)
    _, last = run_layer(population, weights, x)
    assert torch.equal(states.z, z)
    assert all(getattr(states, name).shape == (STEPS, BATCH, N) for name in states._fields)
    assert all(torch.equal(getattr(states, name)[-1], getattr(last, name)) for name in states._fields)


def test_constants_follow_dtype_copies_and_state_dict():
    population, _, x = random_net("to_value", "threshold", 8)
    p = LSNNConstants.of(population)
    hidden = LSNNRecurrent(N_IN, p, generator=torch.Generator().manual_seed(0))
    assert {p.decay_v.dtype, p.n_ref.dtype} == {torch.float32, torch.int64}
    double = copy.deepcopy(hidden).double()
    z, state = double(torch.as_tensor(x))
    assert z.dtype == state.v.dtype == torch.float64
    assert hidden.p.decay_v.dtype == torch.float32, "the copy has its own constants"

    blank = LSNNConstants(N, decay_v=0.0, v_th=9.0, reset="to_value", dtype=torch.float64)
    other = LSNNRecurrent(N_IN, blank, generator=torch.Generator().manual_seed(1))
    other.load_state_dict(double.state_dict())
    assert torch.equal(other(torch.as_tensor(x))[0], z)
    assert z.mean() > 0.01
    names = {f"p.{name}" for name in (*ALIF.PARAMETERS,)} | {"input_weights", "recurrent_weights"}
    assert set(double.state_dict()) == names


def test_refusals():
    lif = LIF.of("slow", 2, decay_v=0.9, v_th=1.0)
    hard = LIF.of("hard", 2, decay_v=0.9, v_th=1.0, reset="to_value")
    with pytest.raises(TrainingError, match=r"slow, hard.*resets"):
        LSNNConstants.of(lif, hard)
    with pytest.raises(TrainingError, match=r"decay_v has shape \(3,\)"):
        LSNNConstants(2, decay_v=[0.1, 0.2, 0.3], v_th=1.0)
    with pytest.raises(TrainingError, match="neither weights nor a generator"):
        LSNNRecurrent(3, LSNNConstants.of(lif))
    with pytest.raises(TrainingError, match=r"weights have shape \(2, 4\)"):
        LSNNRecurrent(3, LSNNConstants.of(lif), input_weights=nn.Parameter(torch.zeros(2, 4)))
    with pytest.raises(TrainingError, match="v_th has 0"):
        LSNNConstants(2, decay_v=0.9, v_th=[0.0, 1.0])
