"""Soft DEEP R: invariants after every step, the update by hand, and the stationary connectivity of the walk."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.train.soft_deep_r import SoftDeepR, floor_for
from tests.train.test_deep_r import OPTIMIZERS, descend, seeded, wrapped


def one_row(w: list[float], **options) -> tuple[SoftDeepR, torch.nn.Parameter]:
    """Positive synapses in float64 under SGD with lr 0.5; active where w > 0."""
    weight = torch.nn.Parameter(torch.tensor([w], dtype=torch.float64))
    masks = {"input": weight.detach() > 0}
    return SoftDeepR(torch.optim.SGD([weight], lr=0.5), {"input": weight}, {"input": torch.ones_like(weight)}, masks, **options), weight


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(sorted(OPTIMIZERS)),
    theta_min=st.sampled_from([-1e-3, -0.1, -2.0]),
    temperature=st.sampled_from([1e-4, 0.1]),
    gradients=st.sampled_from(["dense", "live"]),
    seed=st.integers(0, 2**31),
)
def test_signs_zeros_and_floor_hold_after_every_step(kind, theta_min, temperature, gradients, seed):
    options = {"theta_min": theta_min, "temperature": temperature, "dormant_gradients": gradients, "l1": 0.01}
    soft = wrapped(kind, seed=seed, rule=SoftDeepR, **options)
    signs, g = {name: sign.clone() for name, sign in soft.signs.items()}, seeded(seed)
    for _ in range(6):
        descend(soft, g)
        for name, w in soft.weights.items():
            active, dormant = soft.masks()[name], soft.dormant[name]
            assert (signs[name] * w >= 0).all()
            assert (w[~active] == 0).all()
            assert (dormant[active] == 0).all()
            assert (dormant <= 0).all()
            assert (dormant >= torch.tensor(theta_min)).all()
            assert torch.equal(soft.signs[name], signs[name])
        assert (soft.weights["recurrent"].diagonal() == 0).all()


def test_one_step_by_hand():
    """theta of active ones after SGD and L1, of dormant ones as it was, plus one and the same kind of noise."""
    soft, w = one_row([0.8, 0.01, 0.0, 0.0, 0.0, 0.0], seed=3, theta_min=-0.4, temperature=0.02, l1=0.1)
    before = soft.dormant["input"].clone()
    assert (before[0, :2] == 0).all()
    assert ((before[0, 2:] > -0.4) & (before[0, 2:] < 0)).all()
    w.grad = torch.tensor([[-0.2, 0.4, 7.0, -7.0, 7.0, -7.0]], dtype=torch.float64)
    noise = torch.randn(w.shape, generator=soft.randomness.at(1), dtype=torch.float64) * (2 * 0.5 * 0.02) ** 0.5
    expected = before.clone()
    expected[0, :2] = torch.tensor([0.8 + 0.1 - 0.05, 0.01 - 0.2 - 0.05], dtype=torch.float64)
    expected = (expected + noise).clamp(min=-0.4)
    soft.step()
    assert torch.allclose(w, expected.clamp(min=0), rtol=1e-14, atol=1e-16)
    assert torch.allclose(soft.dormant["input"], expected.clamp(max=0), rtol=1e-14, atol=1e-16)


def test_dormant_synapses_wake_up_and_go_back():
    soft, w = one_row([1.0] + 50 * [0.0], seed=1, theta_min=-0.05, temperature=1e-3, l1=0.1)
    seen = []
    for _ in range(60):
        soft.step()
        seen.append(int((w > 0).sum()))
    assert max(seen) > 5
    assert len(set(seen)) > 3
    assert any(later < earlier for earlier, later in pairwise(seen))


@pytest.mark.parametrize("connectivity", [0.2, 0.5])
def test_connectivity_settles_where_the_stationary_density_says(connectivity):
    """No gradient, all 2500 synapses active at the start; relaxation takes |theta_min|^2 / (pi^2 lr T) < 330 steps."""
    theta_min = floor_for(connectivity, l1=1.0, temperature=1.0)
    assert theta_min == pytest.approx(-(1 - connectivity) / connectivity)
    w = torch.nn.Parameter(torch.full((50, 50), 0.5))
    ones = torch.ones_like(w)
    options = {"theta_min": theta_min, "temperature": 1.0, "l1": 1.0}
    soft = SoftDeepR(torch.optim.SGD([w], lr=5e-3), {"w": w}, {"w": ones}, {"w": ones.bool()}, seed=7, **options)
    shares = []
    for step in range(1800):
        soft.step()
        if step >= 1000:
            shares.append((w > 0).float().mean().item())
    assert sum(shares) / len(shares) == pytest.approx(connectivity, abs=0.03)


def test_options_that_freeze_it_are_refused():
    with pytest.raises(TrainingError, match="theta_min is 0"):
        one_row([1.0], seed=0, theta_min=0.0, temperature=1.0)
    with pytest.raises(TrainingError, match="wakes up"):
        one_row([1.0], seed=0, theta_min=-1.0, temperature=0.0)
    with pytest.raises(TrainingError, match="need 0 < connectivity < 1"):
        floor_for(1.0, 1.0, 1.0)
