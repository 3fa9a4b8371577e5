"""Proximal policy optimisation against sums written out, torch's distributions and a task that is learned in seconds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.ppo import PPO, Policy, PPOConfig, act, advantages, policy, ppo_loss, replay, train
from neuromorph.train.stepping import Stepper


class Signs:
    """A cue says which way to go on every step; the reward is how far the action goes that way, less its square."""

    steps, n_in, n_actions = 6, 4, 1

    def __init__(self, batch: int, generator: torch.Generator) -> None:
        self.batch, self.generator = batch, generator

    def reset(self) -> Tensor:
        self.up = torch.rand(self.batch, generator=self.generator) < 0.5
        channels = torch.stack([self.up, self.up, ~self.up, ~self.up], 1)
        return channels & (torch.rand(6, self.batch, 4, generator=self.generator) < 0.6)

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]:
        wanted = torch.where(self.up, 0.7, -0.7)
        return self.reset(), -(action[:, 0] - wanted).square()


def made(seed: int = 0, n_out: int = 3) -> LSNN:
    config = LSNNConfig(12, 4, 4, tau_m=3e-3, tau_out=2e-3, n_ref=1)
    return LSNN(config, 4, n_out, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_advantages_are_sums_of_discounted_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(7, 3, generator=generator), torch.randn(7, 3, generator=generator)
    found = advantages(rewards, values, 0.9, 0.8)
    after = torch.cat([values[1:], torch.zeros(1, 3)])
    for t in range(7):
        wanted = sum(0.72 ** (k - t) * (rewards[k] + 0.9 * after[k] - values[k]) for k in range(t, 7))
        assert torch.allclose(found[t], torch.as_tensor(wanted), atol=1e-6)
    returns = advantages(rewards, values, 0.9, 1.0) + values
    assert torch.allclose(returns[0], sum((0.9**k * rewards[k] for k in range(7)), torch.zeros(3)), atol=1e-5)


def test_policies_are_normal() -> None:
    generator = torch.Generator().manual_seed(1)
    p = policy(torch.randn(4, 5, generator=generator))
    oracle = torch.distributions.Normal(p.mean, p.std)
    action = torch.randn(4, 2, generator=generator)
    assert torch.allclose(p.log_p(action), oracle.log_prob(action).sum(-1))
    assert torch.allclose(p.entropy(), oracle.entropy().sum(-1))
    wide = Policy(torch.full((20_000, 2), 0.5), torch.full((20_000, 2), 0.2), torch.zeros(20_000))
    drawn = wide.draw(generator)
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(drawn.std()) == pytest.approx(0.2, abs=0.005)


def test_what_acted_is_what_is_replayed() -> None:
    model, generator = made(), torch.Generator().manual_seed(2)
    played = act(Stepper(model, 5), Signs(5, generator), generator)
    now, rates = replay(model, played)
    assert float(rates.detach().mean()) > 0.01
    assert float((now.log_p(played.actions) - played.log_p).detach().abs().max()) < 1e-10
    assert float((now.value - played.values).detach().abs().max()) < 1e-10


def test_the_loss_written_out_and_clipped() -> None:
    """At the policy that acted and at another one, whose ratios leave the clip on both sides."""
    model, generator = made(), torch.Generator().manual_seed(3)
    played, config = act(Stepper(model, 8), Signs(8, generator), generator), PPOConfig(entropy=0.1, rate=3.0)
    A = advantages(played.rewards.double(), played.values, config.discount, config.trace)
    R, A = A + played.values, (A - A.mean()) / A.std()
    outside = 0
    for moved in (0.0, 1.0):
        with torch.no_grad():
            model.readout.weights.add_(moved * torch.randn(3, 20, generator=generator, dtype=torch.float64))
            now, rates = replay(model, played)
        total = 0.0
        for t in range(6):
            for b in range(8):
                q = float((now.log_p(played.actions)[t, b] - played.log_p[t, b]).exp())
                outside += abs(q - 1) > config.clip
                gain = min(q * float(A[t, b]), min(max(q, 0.8), 1.2) * float(A[t, b]))
                total += -gain + 0.25 * float(R[t, b] - now.value[t, b]) ** 2 - 0.1 * float(now.entropy()[t, b])
        wanted = total / 48 + 3.0 * float((rates - 0.02).square().mean())
        assert float(ppo_loss(model, played, config).detach()) == pytest.approx(wanted, rel=1e-4)
    assert outside > 5


def test_it_learns_which_way_to_go() -> None:
    """Always 0 without noise would earn -6 x 0.49; the policy that starts adds the square of a deviation of about 0.5."""
    config = PPOConfig(updates=50, lr=1e-2, lr_readout=0.3, record_every=1, rate=0.0, discount=0.0)
    learner = train(made(), lambda g: Signs(32, g), config, progress=False)
    rewards = [entry["rewards"] for entry in learner.history]
    assert rewards[0] < -2.9
    assert sum(rewards[-10:]) / 10 > -0.8


def test_a_run_that_was_stopped_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    def run(model: LSNN, folder: Path, stop: int) -> PPO:
        generator = torch.Generator().manual_seed(5)
        learner = PPO(model, Signs(4, generator), PPOConfig(updates=4, record_every=2), generator)
        if (folder / "state.pt").exists():
            learner.load_state_dict(torch.load(folder / "state.pt"))
        while learner.update < stop:
            learner.learn()
        torch.save(learner.state_dict(), folder / "state.pt")
        return learner

    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = run(made(), tmp_path / "whole", 4)
    run(made(), tmp_path / "parts", 1)
    parts = run(made(9), tmp_path / "parts", 4)
    for name, weights in whole.model.state_dict().items():
        assert torch.equal(weights, parts.model.state_dict()[name])
    assert [e["rewards"] for e in whole.history] == [e["rewards"] for e in parts.history]


def test_bad_settings() -> None:
    for bad in ({"updates": 0}, {"clip": 1.0}, {"lr": 0.0}, {"discount": 1.5}):
        given: dict[str, Any] = bad
        with pytest.raises(TrainingError):
            PPOConfig(**given)
    generator = torch.Generator()
    with pytest.raises(TrainingError, match="need 3"):
        PPO(made(n_out=5), Signs(2, generator), PPOConfig(), generator)
