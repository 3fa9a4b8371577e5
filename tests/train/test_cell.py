"""The PyTorch cell: golden vectors, the reference backend as peer, gradients against a derivation by hand."""

import copy
import itertools

import norse.torch as norse
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import TrainingError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.spikes import Spikes
from neuromorph.train import LeakyReadout, LSNNConstants, LSNNRecurrent, LSNNRecurrentCell, LSNNState, bellec, by_name
from neuromorph.train.constants import StepConstants
from neuromorph.train.delays import delayed_linear, draw_delays
from neuromorph.train.neurons import fire, silence
from neuromorph.train.time_constants import BoundedTimes

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
    assert LSNNConstants.of(lif).values().active() == (False, False, False, False)
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


def random_delays(seed, most_input=4, most_recurrent=6):
    generator = torch.Generator().manual_seed(seed)
    sizes = {"input_delays": (N_IN, most_input), "recurrent_delays": (N, most_recurrent)}
    return {name: draw_delays(N, n_source, most, generator) for name, (n_source, most) in sizes.items()}


def history_loop(p, weights, delays, x):
    """The step with every spike ever sent kept, and each synapse looking back by its own delay; differentiable."""
    c, on, form = p.values(), p.values().active(), p.form
    state, sent = silence((BATCH,), p), {"input": [], "recurrent": []}
    history = []
    for step in x:
        arriving = torch.zeros(BATCH, N, dtype=x.dtype)
        for name, past in sent.items():
            for j, i in np.ndindex(*weights[name].shape):
                if (late := int(delays[f"{name}_delays"][j, i])) <= len(past):
                    arriving = arriving + weights[name][j, i] * past[-late][:, i, None] * torch.eye(N, dtype=x.dtype)[j]
        state = fire(state._replace(drive=arriving), c, on, form)
        sent["input"].append(step)
        sent["recurrent"].append(state.z)
        history.append(state)
    return LSNNState(*(torch.stack(field) for field in zip(*history)))


@pytest.mark.parametrize(("reset", "adaptation"), FORMS)
def test_delays_by_explicit_history(reset, adaptation):
    """Spikes, potentials and the gradient of every weight, float64."""
    population, weights, x = random_net(reset, adaptation, 3)
    delays, x = random_delays(3), torch.as_tensor(x[:25])
    p = LSNNConstants.of(population, dtype=torch.float64)
    hidden = layer(p, weights["input"], weights["recurrent"], record_states=True, **delays)
    z, states = hidden(x)
    free = {name: torch.tensor(weights[name], requires_grad=True) for name in ("input", "recurrent")}
    expected = history_loop(p, free, delays, x)
    assert torch.equal(z, expected.z)
    assert 0.02 < z.mean() < 0.7
    torch.testing.assert_close(states.v, expected.v, rtol=0, atol=1e-12)
    loss = torch.randn(z.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (z * loss).sum().backward()
    (expected.z * loss).sum().backward()
    free["recurrent"].grad.fill_diagonal_(0)
    for name, parameter in (("input", hidden.input_weights), ("recurrent", hidden.recurrent_weights)):
        torch.testing.assert_close(parameter.grad, free[name].grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_delays_equal_the_reference_backend(seed):
    population, weights, x = random_net("subtract", "threshold", seed)
    delays = random_delays(seed)
    wiring = [("input", "hidden", "input"), ("hidden", "hidden", "recurrent")]
    projections = tuple(Projection.from_dense(a, b, weights[k].T, delays=delays[f"{k}_delays"].numpy().T) for a, b, k in wiring)
    graph = Graph(1e-3, (Input("input", N_IN), population), projections)
    expected = ReferenceBackend().run(graph, Spikes.from_dense(x, 1e-3)).spikes["hidden"].to_dense()
    np.testing.assert_array_equal(run_layer(population, weights, x, **delays)[0], expected)
    assert (expected != run_layer(population, weights, x)[0].numpy()).any()


@pytest.mark.parametrize(("most_input", "most_recurrent"), [(1, 1), (1, 5), (7, 3)])
def test_delays_carried_over_in_the_state(most_input, most_recurrent):
    """One run = two runs = the cell step by step; the input sent before integrate() = the input given to forward()."""
    population, weights, x = random_net("subtract", "threshold", 4)
    delays, x = random_delays(4, most_input, most_recurrent), torch.as_tensor(x)
    p = LSNNConstants.of(population, dtype=torch.float64)
    hidden = layer(p, weights["input"], weights["recurrent"], **delays)
    cell = LSNNRecurrentCell(N_IN, p, input_weights=hidden.input_weights, recurrent_weights=hidden.recurrent_weights, **delays)
    with torch.no_grad():
        whole, last = hidden(x)
        first, state = hidden(x[:13])
        second, end = hidden(x[13:], state)
        stepped, z = None, []
        for step in x:
            out, stepped = cell(step, stepped)
            z.append(out)
        by_drives, _ = hidden.integrate(delayed_linear(x, hidden.input_weights, delays["input_delays"]))
    assert last.later.shape == (BATCH, max(most_input, most_recurrent) - 1, N)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(torch.stack(z), whole)
    assert torch.equal(by_drives, whole)
    for name in last._fields:
        torch.testing.assert_close(getattr(end, name), getattr(last, name), rtol=0, atol=1e-12)
        torch.testing.assert_close(getattr(stepped, name), getattr(last, name), rtol=0, atol=1e-12)
    assert whole.mean() > 0.02


def test_delays_of_one_step_change_nothing():
    population, weights, x = random_net("to_value", "current", 9)
    ones = {"input_delays": torch.ones(N, N_IN, dtype=torch.int64), "recurrent_delays": torch.ones(N, N, dtype=torch.int64)}
    z, state = run_layer(population, weights, x, **ones)
    expected, last = run_layer(population, weights, x)
    assert torch.equal(z, expected)
    assert all(torch.equal(a, b) for a, b in zip(state, last))


LEARNED = {"tau_m": (1e-3, 0.2), "tau_a": (5e-3, 2.0)}


def learning(reset="subtract", adaptation="threshold", **options):
    """Constants with trainable time constants, half of the neurons adaptive, and spikes without a gradient unless given."""
    rng = np.random.default_rng(5)
    tau_m, tau_a = rng.uniform(5e-3, 50e-3, N), rng.uniform(0.02, 0.9, N)
    common = {"dt": 1e-3, "tau_m": tau_m[:4], "v_th": 0.5, "n_ref": 2, "reset": reset}
    slow = {"tau_a": tau_a[4:], "beta": 1.8, "adaptation": adaptation}
    lif = LIF.from_time_constants("regular", 4, **common)
    alif = ALIF.from_time_constants("adaptive", N - 4, **{**common, "tau_m": tau_m[4:]}, **slow)
    learned = LSNNConstants.of(lif, alif, learned=LEARNED, dt=1e-3, dtype=torch.float64, **options)
    return learned, LSNNConstants.of(lif, alif, dtype=torch.float64, **options), tau_m, tau_a[4:]


def test_learned_time_constants_start_where_they_were_given():
    learned, fixed, tau_m, tau_a = learning()
    np.testing.assert_allclose(learned.tau_m.tau().detach(), tau_m, rtol=1e-12)
    np.testing.assert_allclose(learned.tau_a.tau().detach(), tau_a, rtol=1e-12)
    for name in StepConstants._fields:
        torch.testing.assert_close(getattr(learned.values(), name), getattr(fixed, name), rtol=1e-10, atol=1e-14, check_dtype=True)
    assert not learned.values().kappa[:4].any()
    assert {name: raw.shape for name, raw in learned.time_constants().items()} == {"tau_m": (N,), "tau_a": (N - 4,)}
    assert fixed.time_constants() == {}


@settings(max_examples=100, deadline=None)
@given(
    low=st.floats(1e-4, 1.0),
    ratio=st.floats(1.01, 1e4),
    share=st.floats(0.01, 0.99),
    raw=st.floats(-1e3, 1e3),
    dt=st.floats(1e-4, 1e-2),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_bounded_time_constants(low, ratio, share, raw, dt, dtype):
    """Whatever the parameter: tau within its bounds, decay in [0, 1], rise = 1 - decay; and rising with the parameter."""
    times = BoundedTimes("tau", np.full(3, low * ratio**share), (low, low * ratio), dt=dt, dtype=dtype)
    tolerance = {"rtol": 1e-5 if dtype == torch.float32 else 1e-10}
    np.testing.assert_allclose(times.tau().detach(), low * ratio**share, **tolerance)
    with torch.no_grad():
        times.raw.copy_(torch.tensor([raw, raw + 0.5, 0.0]))
    tau, decay, rise = (x.detach().double().numpy() for x in (times.tau(), times.decay(), times.rise()))
    assert (tau >= low * (1 - 1e-5)).all()
    assert (tau <= low * ratio * (1 + 1e-5)).all()
    assert tau[1] >= tau[0]
    np.testing.assert_allclose(tau[2], low * ratio**0.5, **tolerance)
    np.testing.assert_allclose(decay, np.exp(-dt / tau), atol=1e-6)
    np.testing.assert_allclose(rise, -np.expm1(-dt / tau), rtol=1e-4, atol=1e-12)
    assert ((decay >= 0) & (decay <= 1)).all()


@pytest.mark.parametrize(("reset", "adaptation"), FORMS)
def test_gradient_of_time_constants_by_finite_differences(reset, adaptation):
    """Of v and theta, along a run with spikes, where no spike flips (their surrogate is left out of both sides)."""
    p, _, _, _ = learning(reset, adaptation, surrogate=lambda v, theta: (v > theta).to(v))
    _, weights, x = random_net(reset, adaptation, 2)
    hidden = layer(p, 8 * weights["input"], weights["recurrent"], record_states=True)
    generator = torch.Generator().manual_seed(0)
    cv, ca = torch.randn((2, STEPS, BATCH, N), generator=generator, dtype=torch.float64)

    def loss():
        z, states = hidden(torch.as_tensor(x))
        return (cv * states.v + ca * states.a).sum(), z

    base, z = loss()
    base.backward()
    assert 0.02 < z.mean() < 0.5
    for raw in p.time_constants().values():
        for i in range(len(raw)):
            found = []
            for eps in (1e-6, -1e-6):
                with torch.no_grad():
                    raw[i] += eps
                    value, moved = loss()
                    raw[i] -= eps
                assert torch.equal(moved, z)
                found.append(value.item())
            assert raw.grad[i].item() == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_learned_time_constants_train_and_are_saved():
    p, _, _, _ = learning()
    hidden = LSNNRecurrent(N_IN, p, generator=torch.Generator().manual_seed(0), dt=1e-3)
    x = torch.as_tensor(random_net("subtract", "threshold", 2)[2])
    optimizer = torch.optim.SGD(p.time_constants().values(), lr=10.0)
    (8 * hidden(8 * x)[0]).sum().backward()
    before = p.values()
    optimizer.step()
    after = p.values()
    moved = {name for name in StepConstants._fields if not torch.equal(getattr(before, name), getattr(after, name))}
    assert moved == {"decay_v", "gain", "decay_a", "kappa"}
    other, _, _, _ = learning()
    fresh = LSNNRecurrent(N_IN, other, generator=torch.Generator().manual_seed(1), dt=1e-3)
    fresh.load_state_dict(hidden.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(fresh.p.values(), after))


def test_recorded_states():
    population, weights, x = random_net("subtract", "threshold", 7)
    z, states = run_layer(population, weights, x, record_states=True)
    _, last = run_layer(population, weights, x)
    assert torch.equal(states.z, z)
    assert all(getattr(states, name).shape == (STEPS, BATCH, N) for name in states._fields if name != "later")
    assert states.later.shape == (STEPS, BATCH, 0, N)
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
    with pytest.raises(TrainingError, match="learned tau_s is unknown; allowed: tau_m, tau_a"):
        LSNNConstants.of(lif, learned={"tau_s": (1e-3, 1.0)})
    with pytest.raises(TrainingError, match="where no neuron adapts"):
        LSNNConstants.of(lif, learned={"tau_a": (1e-3, 1.0)})
    with pytest.raises(TrainingError, match=r"tau_m: it starts at 0\.0094.* not strictly between its bounds 0\.05 and 1 s"):
        LSNNConstants.of(lif, learned={"tau_m": (0.05, 1.0)})
    with pytest.raises(TrainingError, match="give 0 < low < high"):
        LSNNConstants.of(lif, learned={"tau_m": (0.05, 0.05)})


def test_refusals_of_delays():
    p = LSNNConstants(2, decay_v=0.9, v_th=1.0)
    generator = torch.Generator().manual_seed(0)
    for wrong in (torch.zeros(2, 3, dtype=torch.int64), torch.ones(3, 2, dtype=torch.int64), torch.ones(2, 3, dtype=torch.int32)):
        with pytest.raises((TrainingError, TypeError), match=r"LSNN input: delays are|input_delays"):
            LSNNRecurrent(3, p, generator=generator, input_delays=wrong)
    slow = LSNNRecurrent(3, p, generator=generator, recurrent_delays=torch.full((2, 2), 4))
    with pytest.raises(TrainingError, match="room for delays up to 1, the layer needs 4"):
        slow(torch.zeros(5, 1, 3), silence((1,), p))
