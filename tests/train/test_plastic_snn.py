"""The plastic spiking network: step by step against a loop written here, and spike for spike against its exported graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import TrainingError
from neuromorph.spikes import Spikes
from neuromorph.train.plastic_snn import PlasticSNN, PlasticSNNConfig
from neuromorph.train.plastic_snn_export import export_plastic
from neuromorph.train.surrogate import bellec

CONFIG = PlasticSNNConfig(n=9, n_adaptive=3, steps=3, input_scale=6.0, clip=0.3)


def model(seed: int = 0, **changes) -> PlasticSNN:
    return PlasticSNN(replace(CONFIG, **changes), 5, 2, generator=torch.Generator().manual_seed(seed)).double()


def episode(seed: int, blocks: int = 8, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Input spikes [blocks, B, n_in] and third factors [blocks, B]."""
    g = torch.Generator().manual_seed(seed)
    return (torch.rand(blocks, batch, 5, generator=g) < 0.5).double(), torch.randn(blocks, batch, generator=g, dtype=torch.float64) * 3


def run(net: PlasticSNN, x: torch.Tensor, third: torch.Tensor):
    state, outputs, spikes = net.initial_state(x.shape[1]), [], []
    for xb, mb in zip(x, third):
        y, state, z = net.block(xb, state, mb)
        outputs.append(y)
        spikes.append(z)
    return torch.stack(outputs), state, torch.cat(spikes)


def by_the_equations(net: PlasticSNN, x: torch.Tensor, third: torch.Tensor):
    """One step after the other, E and H at every step, einsum for every product."""
    c, batch = net.config, x.shape[1]
    z, v, a, p = (torch.zeros(batch, c.n, dtype=torch.float64) for _ in range(4))
    y, theta = torch.zeros(batch, net.n_out, dtype=torch.float64), torch.ones_like(z)
    H, E = (torch.zeros(batch, c.n, c.n, dtype=torch.float64) for _ in range(2))
    read = torch.zeros(batch, 1, dtype=torch.float64)
    eta, outputs, spikes, spike = net.trained_eta if c.train_eta else 1 - c.decay(c.tau_e), [], [], bellec(c.gamma)
    for t in range(len(x) * c.steps):
        arrives = x[(t - 1) // c.steps] if t else torch.zeros_like(x[0])
        current = arrives @ net.w_in.t() + torch.einsum("bji,bi->bj", net.w + net.alpha * H, z)
        y = c.decay(c.tau_out) * y + z @ net.w_out.t() + net.bias
        p = c.decay(c.tau_pre) * p + z
        a = c.decay(c.tau_a) * a + net.kappa * z
        v = c.decay(c.tau_m) * v + (1 - c.decay(c.tau_m)) * current - z * theta
        theta = 1 + a
        z = spike(v, theta)
        spikes.append(z)
        m = third[t // c.steps] if t % c.steps == c.steps - 1 else torch.zeros(batch, dtype=torch.float64)
        if c.modulator:
            read = c.decay(c.tau_mod) * read + arrives[:, -c.modulator :] @ net.w_mod.t()
            m = read[:, 0]
        pairs, m = torch.einsum("bj,bi->bji", z - c.post_offset, p), m.clamp(-c.third_limit, c.third_limit)[:, None, None]
        change = {"hebbian": eta * pairs, "modulated": m * pairs, "retroactive": m * E}[c.rule]
        H = torch.clamp(H + change, -c.clip, c.clip)
        E = (1 - eta) * E + eta * pairs if c.rule == "retroactive" else E
        if t % c.steps == c.steps - 1:
            outputs.append(y)
    return torch.stack(outputs), H, E, torch.stack(spikes)


FORMS = [
    {},
    {"alpha": "one"},
    {"alpha": "neuron", "train_eta": True},
    {"modulator": 3},
    {"rule": "hebbian", "train_eta": True, "tau_e": 5e-3},
    {"rule": "modulated", "alpha": "neuron", "clip": 0.1},
    {"rule": "modulated", "modulator": 3, "clip": 0.1},
]


@pytest.mark.parametrize("batch", [1, 30])
@pytest.mark.parametrize("changes", FORMS)
def test_blocks_are_steps_of_the_equations(batch: int, changes: dict) -> None:
    net, (x, third) = model(**changes), episode(1, batch=batch)
    if net.config.modulator:
        with torch.no_grad():
            net.w_mod.copy_(torch.tensor([[0.7, 2.0, -3.0]]))
    cotangent = torch.randn(len(x), batch, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    outputs, state, spikes = run(net, x, third)
    (outputs * cotangent).sum().backward()
    found = {name: p.grad.clone() for name, p in net.named_parameters()}
    net.zero_grad()
    wanted, H, E, z = by_the_equations(net, x, third)
    (wanted * cotangent).sum().backward()
    assert torch.equal(spikes, z)
    assert 0.02 < float(z.mean()) < 0.6
    assert float(state.H.abs().max()) == net.config.clip, "the clip is reached"
    for a, b in ((outputs, wanted), (state.H, H), (state.E, E)):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    for name, p in net.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-10, atol=1e-10)
        assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("changes", [{"n_adaptive": 0}, {"n_adaptive": 4}, *FORMS[1:]])
def test_the_exported_graph_does_the_same(changes: dict) -> None:
    net, (x, third) = model(**changes), episode(2, blocks=20)
    if net.config.modulator:
        with torch.no_grad():
            net.w_mod.copy_(torch.tensor([[0.7, 2.0, -3.0]]))
    graph, steps = export_plastic(net), CONFIG.steps
    inputs = Spikes.from_dense(x.repeat_interleave(steps, 0).numpy() > 0, graph.dt)
    reward = np.zeros((len(x) * steps, 3))
    reward[steps - 1 :: steps] = third.numpy()
    given = {"reward": reward} if graph.third_factors else {}
    assert set(given) == ({"reward"} if net.config.rule != "hebbian" and not net.config.modulator else set())
    recording = ReferenceBackend().run(graph, inputs, states=["hidden->hidden"], third_factors=given)
    with torch.no_grad():
        outputs, state, spikes = run(net, x, third)
    assert np.array_equal(recording.spikes["hidden"].to_dense(), spikes.numpy() > 0)
    assert np.allclose(recording.readouts["readout"][steps - 1 :: steps], outputs.numpy(), atol=1e-12)
    traces = recording.states["hidden->hidden"]
    for name in ("H", "E") if net.config.rule == "retroactive" else ("H",):
        matrix = traces[name][-1].reshape(3, 9, 9).transpose(0, 2, 1)  # synapses are rows of sources
        assert np.allclose(matrix, getattr(state, name).numpy(), atol=1e-12)
        assert np.abs(matrix).max() > 0


def test_without_plasticity_nothing_is_learned() -> None:
    net, (x, third) = model(plastic=False), episode(3)
    _, state, _ = run(net, x, third)
    assert not state.H.any()
    assert not export_plastic(net).plastic


def test_options_are_checked() -> None:
    for wrong in (
        {"steps": 1},
        {"n_adaptive": 10},
        {"clip": 0.0},
        {"tau_e": -1.0},
        {"modulator": -1},
        {"modulator": 2, "plastic": False},
        {"modulator": 2, "rule": "hebbian"},
    ):
        with pytest.raises(TrainingError):
            replace(CONFIG, **wrong)
