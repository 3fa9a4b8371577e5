"""The GPU's kernels against PyTorch's loop: on a GPU where there is one, else in Triton's interpreter (numpy), in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neuromorph.train.compiled import can_run, run_on_gpu
from neuromorph.train.delays import delayed_linear, draw_delays
from neuromorph.train.kernels.sequence import CONSTANTS, Result
from neuromorph.train.layers import LSNNRecurrent
from neuromorph.train.losses import overshoots
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.neurons import LSNNConstants
from neuromorph.train.readout import LeakyReadout
from neuromorph.train.surrogate import by_name

pytest.importorskip("triton")
torch.set_num_threads(1)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def network(seed: int, n: int, longest: int, *, n_in: int = 5, n_out: int = 3, **form: str) -> tuple[LSNNRecurrent, LeakyReadout, Tensor]:
    """A layer, its readout and the readout's delays; constants of each neuron's own, every term of the step is in use."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    p = LSNNConstants(
        n,
        decay_v=rng.uniform(0.5, 0.95, n),
        decay_u=rng.uniform(0.0, 0.6, n),
        gain=rng.uniform(0.3, 1.0, n),
        bias=rng.normal(0, 0.05, n),
        v_th=rng.uniform(0.5, 1.5, n),
        v_reset=rng.uniform(-0.2, 0.2, n),
        n_ref=rng.integers(0, 4, n),
        decay_a=rng.uniform(0.8, 0.99, n),
        kappa=rng.uniform(0, 0.3, n) * (rng.random(n) < 0.6),
        reset=form["reset"],
        adaptation=form["adaptation"],
        surrogate=by_name(form["surrogate"]),
        dtype=torch.float64,
    )
    layer = LSNNRecurrent(
        n_in,
        p,
        input_weights=nn.Parameter(torch.from_numpy(rng.normal(0.2, 0.8, (n, n_in)))),
        recurrent_weights=nn.Parameter(torch.from_numpy(rng.normal(0, 0.8, (n, n)) * (rng.random((n, n)) < 0.7))),
        input_delays=draw_delays(n, n_in, longest, generator),
        recurrent_delays=None if longest == 1 else draw_delays(n, n, longest, generator),
    )
    constants = {"decay_v": rng.uniform(0.5, 0.95, n_out), "decay_u": rng.uniform(0, 0.5, n_out), "bias": rng.normal(0, 0.1, n_out)}
    readout = LeakyReadout(n, n_out, **constants, generator=generator, dtype=torch.float64)
    return layer.to(DEVICE), readout.to(DEVICE), draw_delays(n_out, n, longest, generator).to(DEVICE)


def loop(layer: LSNNRecurrent, x: Tensor, readout: LeakyReadout, delays: Tensor) -> Result:
    drives = delayed_linear(x, layer.input_weights, layer.input_delays)
    z, v, theta = (torch.stack(trace) for trace in zip(*((s.z, s.v, s.theta) for s in layer.states(drives.unsqueeze(-2)))))
    y, _ = readout.integrate(delayed_linear(z, readout.weights, delays))
    return Result(y, z, z.mean((0, 1)), overshoots(v, theta))


def gradients(found: Result, leaves: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Of a loss in which everything counts with a random weight."""
    rng = np.random.default_rng(seed)
    loss = torch.zeros((), dtype=torch.float64, device=DEVICE)
    for part in found:
        assert part is not None
        loss = loss + (part * torch.from_numpy(rng.normal(size=part.shape)).to(part)).sum()
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()))))


@pytest.mark.parametrize(
    ("reset", "adaptation", "surrogate", "longest", "n", "batch"),
    [
        ("subtract", "threshold", "bellec", 1, 20, 3),
        ("to_value", "current", "bellec", 3, 7, 1),
        ("subtract", "current", "multi_gaussian", 1, 9, 17),
        ("to_value", "threshold", "multi_gaussian", 2, 9, 3),
        ("subtract", "current", "super", 2, 17, 3),
        ("to_value", "threshold", "super", 1, 7, 3),
        ("subtract", "threshold", "triangle", 3, 9, 17),
        ("to_value", "current", "triangle", 1, 7, 5),
    ],
)
def test_kernels_equal_the_loop(reset: str, adaptation: str, surrogate: str, longest: int, n: int, batch: int) -> None:
    layer, readout, delays = network(n, n, longest, reset=reset, adaptation=adaptation, surrogate=surrogate)
    x = torch.from_numpy(np.random.default_rng(1).normal(0.2, 0.6, (10, batch, 5))).to(DEVICE).requires_grad_()
    leaves = {"x": x, "input": layer.input_weights, "recurrent": layer.recurrent_weights, "readout": readout.weights}
    leaves |= {name: getattr(layer.p, name).requires_grad_() for name in CONSTANTS}
    expected = loop(layer, x, readout, delays)
    found = run_on_gpu(layer, x, readout=readout, readout_delays=delays, overshoot=True)
    assert found.spikes is not None
    assert expected.spikes is not None
    assert torch.equal(found.spikes, expected.spikes)
    assert 0.02 < found.rates.detach().mean() < 0.5
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    right = gradients(expected, leaves, 2)
    for name, gradient in gradients(found, leaves, 2).items():
        torch.testing.assert_close(gradient, right[name], rtol=1e-10, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")
        assert gradient.any(), name


def test_what_is_not_wanted_is_left_out() -> None:
    layer, readout, delays = network(3, 6, 2, reset="subtract", adaptation="threshold", surrogate="bellec")
    x = torch.from_numpy(np.random.default_rng(1).normal(0.2, 0.6, (9, 2, 5))).to(DEVICE)
    expected = loop(layer, x, readout, delays)
    options = {"readout": readout, "readout_delays": delays, "spikes": False, "window": 4}
    with torch.no_grad():
        silent = run_on_gpu(layer, x, **options)
    live = run_on_gpu(layer, x, **options, live_gradients=True)
    assert expected.readout is not None
    for found in (silent, live):
        assert found.spikes is None
        assert not found.overshoot.any()
        torch.testing.assert_close(found.rates, expected.rates)
        torch.testing.assert_close(found.readout, expected.readout[-4:].mean(0))
    assert live.readout is not None
    weights = layer.recurrent_weights
    (right,), (gradient,) = (torch.autograd.grad(y.sum(), [weights]) for y in (expected.readout[-4:].mean(0), live.readout))
    torch.testing.assert_close(gradient, right * (weights != 0), rtol=1e-10, atol=1e-10)
    assert (right[weights == 0] != 0).any()


def test_a_sequence_shorter_than_its_delays() -> None:
    layer, readout, delays = network(4, 4, 6, reset="subtract", adaptation="threshold", surrogate="bellec")
    x = torch.full((3, 1, 5), 2.0, dtype=torch.float64, device=DEVICE)
    expected, found = loop(layer, x, readout, delays), run_on_gpu(layer, x, readout=readout, readout_delays=delays, overshoot=True)
    leaves = {"input": layer.input_weights, "recurrent": layer.recurrent_weights, "readout": readout.weights}
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, leaves, 5), gradients(expected, leaves, 5))


def test_only_a_gpu_takes_triton() -> None:
    layer, *_ = network(1, 4, 1, reset="subtract", adaptation="threshold", surrogate="bellec")
    assert can_run(layer)
    assert not can_run(layer.to("meta"))


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_on_the_gpu_equals_the_loop(dtype: torch.dtype) -> None:
    config = LSNNConfig(40, 20, 40, n_layers=2, max_recurrent_delay=3, max_readout_delay=2, learned=("tau_m", "tau_a"))
    generator = torch.Generator().manual_seed(0)
    models = [LSNN(config, 12, 4, generator=generator.manual_seed(0), dtype=dtype, compiled=c).to(DEVICE) for c in (False, True)]
    x = (torch.rand(60, 33, 12, generator=generator) < 0.1).to(DEVICE)
    decisions = [model.decide(x, 20, overshoot=True) for model in models]
    for decision in decisions:
        (decision.logits.square().sum() + decision.rates.sum() + decision.overshoot.sum()).backward()
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-4}
    assert torch.equal(decisions[0].rates, decisions[1].rates)
    for (name, a), b in zip(models[0].named_parameters(), models[1].parameters()):
        torch.testing.assert_close(b.grad, a.grad, **tolerance, msg=lambda m, name=name: f"{name}: {m}")
