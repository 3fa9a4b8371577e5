"""The compiled sequence against PyTorch's loop: same spikes, same gradients, in float64; and delays by brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.train.delays import delayed_linear, draw_delays
from neuromorph.train.kernel import can_run, run_sequence
from neuromorph.train.layers import LSNNRecurrent
from neuromorph.train.neurons import LSNNConstants
from neuromorph.train.surrogate import by_name


def constants(rng: np.random.Generator, n: int, reset: str, adaptation: str) -> LSNNConstants:
    """Constants of each neuron's own; every term of the step is in use."""
    return LSNNConstants(
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
        reset=reset,
        adaptation=adaptation,
        dtype=torch.float64,
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 9),
    batch=st.integers(1, 33),
    n_steps=st.integers(2, 40),
    reset=st.sampled_from(["subtract", "to_value"]),
    adaptation=st.sampled_from(["threshold", "current"]),
)
def test_kernel_equals_the_loop(seed: int, n: int, batch: int, n_steps: int, reset: str, adaptation: str) -> None:
    rng = np.random.default_rng(seed)
    p = constants(rng, n, reset, adaptation)
    weights = torch.nn.Parameter(torch.from_numpy(rng.normal(0, 0.8, (n, n))))
    layer = LSNNRecurrent(1, p, input_weights=torch.nn.Parameter(torch.zeros(n, 1, dtype=torch.float64)), recurrent_weights=weights)
    found = []
    for compiled in (False, True):
        drives = torch.from_numpy(np.random.default_rng(seed).normal(0.3, 0.6, (n_steps, batch, n))).requires_grad_()
        z = run_sequence(drives, layer.recurrent_weights, p) if compiled else layer.integrate(drives)[0]
        z.backward(torch.from_numpy(np.random.default_rng(seed + 1).normal(size=z.shape)))
        gradient = layer.recurrent_weights.grad
        layer.recurrent_weights.grad = None
        assert drives.grad is not None
        off_diagonal = torch.zeros(n, n, dtype=torch.float64) if gradient is None else gradient.clone().fill_diagonal_(0)
        found.append((z.detach(), drives.grad, off_diagonal))
    (z, drive, weight), (z_, drive_, weight_) = found
    assert torch.equal(z, z_)
    torch.testing.assert_close(drive_, drive, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(weight_, weight, rtol=1e-10, atol=1e-10)


def test_the_comparison_covers_spikes_and_refractoriness() -> None:
    rng = np.random.default_rng(0)
    p = constants(rng, 9, "subtract", "threshold")
    drives = torch.from_numpy(rng.normal(0.3, 0.6, (40, 20, 9)))
    z = run_sequence(drives, torch.from_numpy(rng.normal(0, 0.8, (9, 9))), p)
    assert 0.02 < z.mean() < 0.5


def test_other_surrogates_take_the_loop() -> None:
    p = LSNNConstants(2, decay_v=0.9, v_th=1.0, surrogate=by_name("triangle"))
    assert not can_run(torch.zeros(3, 1, 2), p)


@pytest.mark.parametrize(("n_source", "n_target"), [(3, 7), (7, 3)])
@pytest.mark.parametrize("most", [1, 2, 5, 30])
def test_delays_by_brute_force(n_source: int, n_target: int, most: int) -> None:
    """out[t] holds what arrives at t + 1: w x[t + 1 - d], and nothing from before the first step."""
    rng = np.random.default_rng(most)
    delays = draw_delays(n_target, n_source, most, torch.Generator().manual_seed(1))
    x, weights = rng.normal(size=(12, 2, n_source)), rng.normal(size=(n_target, n_source))
    expected = np.zeros((12, 2, n_target))
    for t in range(12):
        for j in range(n_target):
            for i in range(n_source):
                sent = t + 1 - int(delays[j, i])
                if sent >= 0:
                    expected[t, :, j] += weights[j, i] * x[sent, :, i]
    found = delayed_linear(torch.from_numpy(x), torch.from_numpy(weights), delays)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
    assert delays.min() >= 1
    assert delays.max() <= most
