"""Actor-critic training: its loss by hand, exact policy gradients, one baseline an element, and runs that go on bit for bit."""

import dataclasses
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train import actor_critic, resumable
from neuromorph.train.actor_critic import ActorCritic, ActorCriticConfig, Rollout, a2c_loss, choose, log_policy, returns, rollout, train
from neuromorph.train.interrupts import TrainingInterrupted
from neuromorph.train.plastic import Plasticity, PlasticRNN
from neuromorph.train.state import STATE, load_state
from tests.train.test_plastic import TOLERANCE, equations, seeded


class Recall:
    """Three steps: a bit, nothing, and the question what it was. With `n_actions` above two a wrong third answer exists."""

    steps, n_in = 3, 3

    def __init__(self, batch: int, generator: torch.Generator, n_actions: int = 2) -> None:
        self.batch, self.generator, self.n_actions = batch, generator, n_actions
        self.now = 0

    def reset(self) -> Tensor:
        self.now = 0
        self.bit = torch.randint(0, 2, (self.batch,), generator=self.generator)
        return self._x()

    def _x(self) -> Tensor:
        return torch.stack(
            [(self.bit * 2.0 - 1) * (self.now == 0), torch.full((self.batch,), float(self.now == 2)), torch.ones(self.batch)], 1
        )

    @property
    def deciding(self) -> Tensor:
        return torch.full((self.batch,), self.now == 2)

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]:
        reward = torch.where(action == self.bit, 1.0, -1.0) * self.deciding
        self.now += 1
        return self._x(), reward


def made(rule: str = "modulated", n: int = 8, n_actions: int = 2, **options: Any) -> ActorCritic:
    core = PlasticRNN(3, n, Plasticity(rule, initial_alpha=0.3), generator=seeded(0), **options)
    return ActorCritic(core, n_actions, generator=seeded(1))


def some_rollout(k: int = 1, steps: int = 7, batch: int = 3) -> Rollout:
    g = seeded(2)
    logits, values = torch.randn(steps, batch, k, generator=g), torch.randn(steps, batch, generator=g)
    actions = torch.randint(0, max(2, k), (steps, batch), generator=g)
    deciding = torch.rand(steps, batch, generator=g) < 0.5
    rewards = torch.randn(steps, batch, generator=g) * deciding
    return Rollout(logits.double().requires_grad_(), values.double().requires_grad_(), actions, rewards.double(), deciding)


# ---- the loss


@pytest.mark.parametrize("per", ["decision", "step"])
@pytest.mark.parametrize("k", [1, 4])
def test_the_loss_decision_by_decision(k: int, per: str) -> None:
    config = ActorCriticConfig(entropy=0.2, value=0.7, discount=0.6, discount_per=per)
    r = some_rollout(k)
    total, count = 0.0, 0
    for b in range(3):
        for t in range(7):
            if not r.deciding[t, b]:
                continue
            R = 0.0
            for later in range(t, 7):
                between = int(r.deciding[t:later, b].sum()) if per == "decision" else later - t
                R += 0.6**between * float(r.rewards[later, b])
            logits = r.logits[t, b].tolist()
            scores = [0.0, logits[0]] if k == 1 else logits
            p = [math.exp(s) / sum(map(math.exp, scores)) for s in scores]
            advantage = R - float(r.values[t, b].detach())
            total += -advantage * math.log(p[int(r.actions[t, b])]) + 0.7 * advantage**2 / 2 + 0.2 * sum(q * math.log(q) for q in p)
            count += 1
    assert float(a2c_loss(r, config).detach()) == pytest.approx(total / count, rel=1e-12)


def test_every_element_has_its_own_baseline() -> None:
    r = some_rollout()
    a2c_loss(r, ActorCriticConfig()).backward()
    other = r.values.detach().clone()
    other[:, 0] += 5
    s = r._replace(logits=r.logits.detach().requires_grad_(), values=other.requires_grad_())
    a2c_loss(s, ActorCriticConfig()).backward()
    for a, b in ((r.logits.grad, s.logits.grad), (r.values.grad, s.values.grad)):
        assert a is not None
        assert b is not None
        assert torch.equal(a[:, 1:], b[:, 1:])
        assert not torch.equal(a[:, 0], b[:, 0])
    R = returns(r.rewards, r.deciding, 0.0, "decision")
    assert r.values.grad is not None
    torch.testing.assert_close(r.values.grad, 0.5 * (r.values - R).detach() * r.deciding / r.deciding.sum())


def test_no_credit_where_nothing_was_decided() -> None:
    r = some_rollout()
    assert float(a2c_loss(r._replace(deciding=torch.zeros_like(r.deciding)), ActorCriticConfig()).detach()) == 0.0


# ---- policies


def test_one_logit_is_two() -> None:
    logit = torch.randn(5, 1, generator=seeded(0), dtype=torch.float64)
    torch.testing.assert_close(log_policy(logit), log_policy(torch.cat([torch.zeros_like(logit), logit], 1)))


@pytest.mark.parametrize("logits", [[0.7], [0.5, -1.0, 0.2]])
def test_actions_come_as_often_as_the_policy_says(logits: list[float]) -> None:
    many = torch.tensor([logits]).expand(20000, -1)
    shares = choose(many, seeded(0), greedy=False).bincount() / 20000
    assert shares.tolist() == pytest.approx(log_policy(many[:1])[0].exp().tolist(), abs=0.015)
    assert set(choose(many, seeded(0), greedy=True).tolist()) == {int(log_policy(many[:1])[0].argmax())}


# ---- gradients


@pytest.mark.parametrize("rule", ["none", "hebbian", "modulated", "retroactive"])
@pytest.mark.parametrize("n_actions", [2, 3])
def test_policy_gradients_are_exact(rule: str, n_actions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against autograd through the equations, for the inputs and actions that were recorded."""
    model, seen = made(rule, n_actions=n_actions, dtype=torch.float64), []
    stepped = actor_critic.Episode.step
    monkeypatch.setattr(actor_critic.Episode, "step", lambda self, x, *more: (seen.append(x.clone()), stepped(self, x.double(), *more))[1])
    config = ActorCriticConfig(discount=0.5)
    played = rollout(model, Recall(4, seeded(3), n_actions), seeded(4))
    a2c_loss(played, config).backward()
    hidden, _ = equations(model.core, torch.stack(seen).double(), model.core.initial_state(4), None)
    logits, values = model.read(hidden)
    wanted = torch.autograd.grad(
        a2c_loss(played._replace(logits=logits, values=values), config), list(model.parameters()), allow_unused=True
    )
    for p, g in zip(model.parameters(), wanted):
        torch.testing.assert_close(p.grad, torch.zeros_like(p) if g is None else g, rtol=TOLERANCE, atol=TOLERANCE)


def test_it_learns() -> None:
    model = made("modulated", 16)
    learner = train(model, lambda g: Recall(32, g), ActorCriticConfig(updates=100, lr=1e-2, record_every=25), progress=False)
    assert learner.history[-1]["rewards"][0] > 0.9
    with torch.no_grad():
        played = rollout(model, Recall(200, seeded(9)), seeded(0), greedy=True)
    assert played.rewards[2].mean() == 1


def test_numbers_that_are_no_longer_finite_stop_it() -> None:
    model = made()
    with torch.no_grad():
        model.weights[0, 0] = math.nan
    with pytest.raises(TrainingError, match="Update 1: the gradient is no longer finite"):
        train(model, lambda g: Recall(2, g), ActorCriticConfig(updates=3), progress=False)


# ---- going on


CONFIG = ActorCriticConfig(updates=12, record_every=5, save_every=3)


def final(folder: Path) -> dict[str, Any]:
    state = load_state(folder)
    state.pop("cpu_s")
    for entry in state["history"]:
        entry.pop("cpu_s")
    return state


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b))
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


@pytest.mark.parametrize("rule", ["none", "retroactive"])
@pytest.mark.parametrize("stops", [(4,), (1, 9)])
def test_a_stopped_run_goes_on_bit_for_bit(rule: str, stops: tuple[int, ...], tmp_path: Path) -> None:
    train(made(rule), lambda g: Recall(4, g), CONFIG, seed=3, folder=tmp_path / "whole", progress=False)
    for stop in stops:
        env: Recall | None = None

        def stopping(g: torch.Generator, stop: int = stop) -> Recall:
            env = Recall(4, g)
            ask, started = env.reset, [0]

            def reset() -> Tensor:
                started[0] += 1
                if started[0] == stop:
                    signal.raise_signal(signal.SIGTERM)
                return ask()

            env.reset = reset
            return env

        with pytest.raises(TrainingInterrupted, match="its state lies in"):
            train(made(rule), stopping, CONFIG, seed=3, folder=tmp_path / "parts", progress=False)
        assert env is None
    learner = train(made(rule), lambda g: Recall(4, g), CONFIG, seed=3, folder=tmp_path / "parts", progress=False)
    assert learner.update == 12
    assert equal(final(tmp_path / "whole"), final(tmp_path / "parts"))
    assert [entry["update"] for entry in learner.history] == [5, 10, 12]


def test_a_killed_run_goes_on_from_its_last_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead in the middle of writing its second state: the first one is whole."""
    train(made(), lambda g: Recall(4, g), CONFIG, folder=tmp_path / "whole", progress=False)
    saved = []

    def dying(folder: Path, state: Any) -> None:
        if saved:
            (folder / f".{STATE}.x.tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        saved.append(save(folder, state))

    save = resumable.save_state
    monkeypatch.setattr(resumable, "save_state", dying)
    with pytest.raises(KeyboardInterrupt):
        train(made(), lambda g: Recall(4, g), CONFIG, folder=tmp_path / "killed", progress=False)
    monkeypatch.undo()
    assert load_state(tmp_path / "killed")["update"] == 3
    train(made(), lambda g: Recall(4, g), CONFIG, folder=tmp_path / "killed", progress=False)
    assert equal(final(tmp_path / "whole"), final(tmp_path / "killed"))


def test_another_run_is_not_overwritten(tmp_path: Path) -> None:
    train(made(), lambda g: Recall(4, g), CONFIG, folder=tmp_path, progress=False)
    with pytest.raises(TrainingError, match="holds a run of"):
        train(made(), lambda g: Recall(4, g), dataclasses.replace(CONFIG, lr=0.1), folder=tmp_path, progress=False)
    again = train(made(), lambda g: Recall(4, g), CONFIG, folder=tmp_path, progress=False)
    assert again.update == 12, "a run that is done is left as it is"


@pytest.mark.parametrize("wrong", [{"updates": 0}, {"lr": 0.0}, {"discount": 1.5}, {"discount_per": "trial"}])
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        ActorCriticConfig(**wrong)
