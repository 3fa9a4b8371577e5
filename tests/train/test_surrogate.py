"""Spike functions: exact step forwards, the stated derivative backwards."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch.functional.threshold import threshold

from neuromorph.errors import TrainingError
from neuromorph.train import bellec, by_name
from neuromorph.train.surrogate import NORSE_ALPHA, MultiGaussian

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


def test_by_name_takes_options():
    assert by_name("bellec", gamma=0.4) == bellec(0.4) != bellec()
    assert by_name("multi_gaussian") == MultiGaussian(gamma=0.5, sigma=0.5, scale=6.0, height=0.15)
    assert by_name("multi_gaussian", sigma=0.1, gamma=1.0) == MultiGaussian(gamma=1.0, sigma=0.1)


def test_multi_gaussian_golden():
    """The paper's constants: 0.5 (1.15 N(0; 0, 0.5) - 0.3 N(0; 0.5, 3)) = 0.4391 at x = 0, and below 0 at x = 2, written out."""
    z, dv, dtheta = gradients(MultiGaussian(), [0.25, 2.25, -1.75], [0.25] * 3)
    root = math.sqrt(2 * math.pi)
    peak = 0.5 * (1.15 / (0.5 * root) - 0.3 * math.exp(-1 / 72) / (3 * root))
    sides = math.exp(-((1.5 / 3) ** 2) / 2) + math.exp(-((2.5 / 3) ** 2) / 2)
    far = 0.5 * (1.15 * math.exp(-8) / (0.5 * root) - 0.15 * sides / (3 * root))
    assert z.tolist() == [0, 1, 0]
    np.testing.assert_allclose(dv, [peak, far, far], rtol=1e-14)
    np.testing.assert_array_equal(dtheta, -dv)
    assert far < 0 < peak


@settings(max_examples=60, deadline=None)
@given(
    gamma=st.floats(0.05, 2),
    sigma=st.floats(0.05, 2),
    scale=st.floats(0.5, 10),
    height=st.floats(0, 0.5),
    x=st.floats(-5, 5),
)
def test_multi_gaussian_is_the_slope_of_its_integral(gamma, sigma, scale, height, x):
    """The integral by normal distribution functions (erf), its slope by finite differences; v and theta both broadcast."""

    def integral(x):
        def normal(mean, deviation):
            return 0.5 * (1 + math.erf((x - mean) / (deviation * math.sqrt(2))))

        return gamma * ((1 + height) * normal(0, sigma) - height * (normal(sigma, scale * sigma) + normal(-sigma, scale * sigma)))

    _, dv, dtheta = gradients(MultiGaussian(gamma, sigma, scale, height), [x + 0.3, x + 0.3], 0.3)
    eps = 1e-4 * sigma * min(1, scale)
    slope = (integral(x + eps) - integral(x - eps)) / (2 * eps)
    np.testing.assert_allclose(dv, slope, rtol=1e-6, atol=1e-6 * gamma / (sigma * min(1, scale)))
    np.testing.assert_allclose(dtheta, -2 * dv[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sigmoid", {}, "allowed: bellec, multi_gaussian, super, triangle, tanh, circ, heavi_erfc"),
        ("multi_gaussian", {"alpha": 1.0}, "it takes gamma, sigma, scale, height"),
        ("multi_gaussian", {"sigma": 0.0}, "must be positive"),
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
