"""Spike functions: exact step forwards, the stated derivative backwards."""

import numpy as np
import pytest
import torch
from norse.torch.functional.threshold import threshold

from neuromorph.errors import TrainingError
from neuromorph.train import bellec, by_name
from neuromorph.train.surrogate import NORSE_ALPHA

torch.set_num_threads(1)


def gradients(spike, v, theta):
    v = torch.tensor(v, dtype=torch.float64, requires_grad=True)
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    z = spike(v, theta)
    z.sum().backward()
    return z.detach().numpy(), v.grad.numpy(), theta.grad.numpy()


def test_bellec_golden():
    """theta = 2, gamma = 0.3, worked by hand: psi = 0.15 max(0, 1 - |v - 2| / 2), dz/dtheta = -psi v / 2."""
    z, dv, dtheta = gradients(bellec(0.3), [-1.0, 0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 5.0], [2.0] * 8)
    assert z.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    np.testing.assert_allclose(dv, [0, 0, 0.075, 0.15, 0.1125, 0.075, 0, 0], atol=1e-16)
    np.testing.assert_allclose(dtheta, [0, 0, -0.0375, -0.15, -0.140625, -0.1125, 0, 0], atol=1e-16)


def test_bellec_is_the_derivative_in_the_normalised_potential():
    """x = (v - theta) / theta; d(gamma triangle)/dx spread over v and theta by finite differences of x."""
    rng = np.random.default_rng(0)
    v, theta, gamma, eps = rng.normal(0.02, 0.02, 50), rng.uniform(0.01, 0.05, 50), 0.4, 1e-7
    _, dv, dtheta = gradients(bellec(gamma), v, theta)
    x = (v - theta) / theta
    outer = gamma * np.maximum(0, 1 - np.abs(x))
    np.testing.assert_allclose(dv, outer * (((v + eps) - theta) / theta - x) / eps, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(dtheta, outer * ((v - theta - eps) / (theta + eps) - x) / eps, rtol=1e-4, atol=1e-9)


def test_bellec_broadcast_threshold():
    v = torch.tensor([[1.0, 3.0], [2.5, 1.5]], dtype=torch.float64, requires_grad=True)
    theta = torch.tensor([2.0, 2.0], dtype=torch.float64, requires_grad=True)
    bellec()(v, theta).sum().backward()
    np.testing.assert_allclose(v.grad, [[0.075, 0.075], [0.1125, 0.1125]])
    np.testing.assert_allclose(theta.grad, [-0.0375 - 0.140625, -0.1125 - 0.084375])


@pytest.mark.parametrize("name", NORSE_ALPHA)
def test_norse_surrogates_by_name(name):
    v = np.linspace(-1, 3, 21)
    alpha = 0.7
    spike = by_name(name) if NORSE_ALPHA[name] is None else by_name(name, alpha=alpha)
    z, dv, dtheta = gradients(spike, v, np.ones(21))
    x = torch.tensor(v - 1, requires_grad=True)
    threshold(x, name, alpha).sum().backward()
    assert z.tolist() == (v > 1).tolist()
    np.testing.assert_array_equal(dv, x.grad)
    np.testing.assert_array_equal(dtheta, -x.grad)
    assert np.abs(dv).max() > 0


def test_by_name_bellec_takes_gamma():
    assert by_name("bellec", gamma=0.4) == bellec(0.4) != bellec()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sigmoid", {}, "allowed: bellec, super, triangle, tanh, circ, heavi_erfc"),
        ("heaviside", {}, "allowed: bellec"),
        ("bellec", {"alpha": 1.0}, "it takes gamma"),
        ("tanh", {"gamma": 1.0}, "it takes alpha"),
        ("super", {"alpha": 10.0}, "it takes none"),
        ("bellec", {"gamma": 0.0}, "gamma is 0.0"),
    ],
)
def test_refusals(name, options, message):
    with pytest.raises(TrainingError, match=message):
        by_name(name, **options)
