"""The arena: its rules against a loop over one episode, its spikes, the measures of visits, Gymnasium's own checker."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.tasks.arena import Arena, ArenaCode, ArenaConfig, SpikingArena, search_and_return, visits


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 1.5))
def test_steps_by_the_rules(seed: int, speed: float) -> None:
    """One agent at a time, in plain numbers."""
    generator, config = seeded(seed), ArenaConfig(steps=15, speed=speed, goal_radius=0.4)
    env = Arena(config, 4, generator)
    assert env.goal.norm(dim=1).numpy() == pytest.approx(np.ones(4), abs=1e-6)
    goals = env.goal.clone()
    while not env.done:
        action, before = 2 * torch.randn(4, 2, generator=generator), env.place.tolist()
        x, reward = env.step(action)
        for k in range(4):
            length = max(1.0, math.hypot(*action[k].tolist()))
            place = [p + speed * a / length for p, a in zip(before[k], action[k].tolist())]
            far = math.hypot(*place)
            place = [p / max(1.0, far) for p in place]
            reached = math.dist(place, goals[k].tolist()) < 0.4
            assert env.arrived[k].tolist() == pytest.approx(place, abs=1e-5)
            assert bool(env.reached[k]) == reached
            assert float(reward[k]) == pytest.approx(reached - config.penalty * (far > 1), abs=1e-6)
            assert reached or env.place[k].tolist() == pytest.approx(place, abs=1e-5)
        assert torch.equal(x, torch.cat([env.place, reward.unsqueeze(1)], 1))
        assert torch.equal(env.goal, goals), "the goal stays"
    with pytest.raises(TrainingError, match="over"):
        env.step(torch.zeros(4, 2))


def test_who_reaches_the_goal_is_put_anywhere() -> None:
    """Uniform in the disc: a share r^2 of the places lies within r."""
    env = Arena(ArenaConfig(), 20_000, seeded(0))
    env.place = env.goal
    env.step(torch.zeros(20_000, 2))
    assert bool(env.reached.all())
    far = env.place.norm(dim=1)
    for r in (0.3, 0.7, 0.9):
        assert float((far < r).float().mean()) == pytest.approx(r**2, abs=0.015)
    assert env.place.mean(0).tolist() == pytest.approx([0, 0], abs=0.015)


def test_spikes_tell_place_and_reward() -> None:
    code = ArenaCode(steps=2000)
    x = torch.tensor([[0.3, -0.8, 0.0], [-0.5, 0.1, 0.98], [0.0, 0.0, -0.02]])
    rates = code.spikes(x, seeded(0)).float().mean(0) * 1000
    n, m = code.place.n, torch.linspace(-1, 1, code.place.n)
    for k in range(3):
        for axis in range(2):
            wanted = 500 * torch.exp(-100 * (m - x[k, axis]) ** 2)
            assert rates[k, axis * n : (axis + 1) * n].numpy() == pytest.approx(wanted.numpy(), abs=50)
    reward = rates[:, 2 * n :].view(3, 2, code.reward).mean(2)
    assert reward.numpy() == pytest.approx(np.array([[0, 0], [500, 0], [0, 500]]), abs=25)


def test_the_blind_see_no_reward() -> None:
    config, code = ArenaConfig(goal_radius=0.9), ArenaCode()
    for blind in (False, True):
        env = SpikingArena(config, code, 50, seeded(0), blind=blind)
        env.reset()
        seen, reward = env.step(torch.zeros(50, 2))
        assert bool((reward > 0).any())
        assert bool(seen[..., 2 * code.place.n :].any()) != blind


def test_visits_by_hand() -> None:
    reached = torch.zeros(10, 3, dtype=torch.bool)
    reached[[2, 4, 9], [0, 0, 0]] = True
    reached[6, 1] = True
    found = visits(reached)
    assert found.goals == pytest.approx(4 / 3)
    assert found.first == pytest.approx((3 + 7 + 10) / 3), "the third never came"
    assert found.later == pytest.approx((7 + 3) / 2)
    assert found.by_step == pytest.approx([0, 0, 1 / 3, 0, 1 / 3, 0, 1 / 3, 0, 0, 1 / 3])
    assert visits(torch.zeros(10, 3, dtype=torch.bool))[:3] == (0, 10, 10)


def test_searching_the_border_finds_every_goal_and_remembers_it() -> None:
    """Once round takes 2 pi / (2 asin(speed / 2)) steps; from anywhere in the disc the way back is less than its diameter."""
    config = ArenaConfig(steps=80)
    env = Arena(config, 500, seeded(1))
    act, reached = search_and_return(env), []
    while not env.done:
        env.step(act())
        reached.append(env.reached)
    times = torch.stack(reached)
    first = times.float().argmax(0) + 1
    assert bool(times.any(0).all())
    assert int(first.max()) <= math.ceil(math.pi / math.asin(0.1)) + 6
    for k in range(500):
        when = times[:, k].nonzero()[:, 0]
        assert (when.diff() <= 2 / config.speed).all()
    assert visits(times).later < 0.5 * visits(times).first


def test_bad_settings() -> None:
    for bad in ({"steps": 0}, {"speed": 0.0}, {"goal_radius": 1.0}, {"penalty": -0.1}):
        given_: dict[str, Any] = bad
        with pytest.raises(TrainingError, match="goal_radius"):
            ArenaConfig(**given_)


def test_gymnasium_checks_the_environment() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    from neuromorph.tasks.arena_gym import ArenaEnv

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(ArenaEnv(ArenaConfig(steps=12)), skip_render_check=True)
    with pytest.raises(gymnasium.error.ResetNeeded):
        ArenaEnv().step(np.zeros(2, np.float32))


def test_gymnasium_plays_the_same_episode() -> None:
    pytest.importorskip("gymnasium")
    from neuromorph.tasks.arena_gym import ArenaEnv

    env = ArenaEnv(ArenaConfig(steps=30, goal_radius=0.5))
    x, info = env.reset(seed=3)
    twin = Arena(env.config, 1, seeded(int(np.random.Generator(np.random.PCG64(3)).integers(2**62))))
    assert twin.inputs[0].numpy() == pytest.approx(x)
    assert info["goal"] == pytest.approx(twin.goal[0].tolist())
    over = False
    while not over:
        action = env.action_space.sample()
        x, reward, over, cut, _ = env.step(action)
        y, paid = twin.step(torch.from_numpy(action).unsqueeze(0))
        assert x == pytest.approx(y[0].numpy(), abs=1e-6)
        assert (reward, over, cut) == (float(paid), twin.done, False)
