"""The maze task: its grid against the description, its rules step by step, its references by simulation, Gymnasium's own checker."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.tasks.maze import PAPER, Maze, MazeConfig, distances, grid, rewards_of_chance, rewards_of_knowing

DRAWN = """
#######
#.....#
#.#.#.#
#.....#
#.#.#.#
#.....#
#######"""
STEPS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_grid_as_drawn() -> None:
    rows, of = DRAWN.split(), grid(7)
    free = [(r, c) for r, row in enumerate(rows) for c, cell in enumerate(row) if cell == "."]
    assert of.places.tolist() == [list(place) for place in free]
    assert free[of.centre] == (3, 3)
    for number, (r, c) in enumerate(free):
        assert of.walls[number].tolist() == [float(rows[r + i][c + j] == "#") for i in (-1, 0, 1) for j in (-1, 0, 1)]
        ahead = [(r + i, c + j) for i, j in STEPS.values()]
        assert [free[n] for n in of.moves[number].tolist()] == [place if place in free else (r, c) for place in ahead]


def test_the_papers_maze() -> None:
    assert len(grid(PAPER.side).places) == 9 * 9 - 16
    assert len(grid(13).places) == 11 * 11 - 24, "the centre is free though its row and column are even"


def route(side: int, start: int, goal: int) -> int:
    """Steps of a breadth-first search."""
    moves, seen, steps = grid(side).moves.tolist(), {start}, 0
    while goal not in seen:
        seen |= {there for here in seen for there in moves[here]}
        steps += 1
    return steps


def test_distances() -> None:
    far = distances(9)
    assert torch.equal(far, far.T)
    assert all(int(far[a, b]) == route(9, a, b) for a in range(0, len(far), 7) for b in range(len(far)))


@settings(max_examples=30, deadline=None)
@given(side=st.sampled_from([5, 7, 9]), steps=st.integers(1, 40), batch=st.integers(1, 6), seed=st.integers(0, 99))
def test_episodes_step_by_step(side: int, steps: int, batch: int, seed: int) -> None:
    """Each agent by itself: it moves where it may, is rewarded where the goal is and only there, and is then put elsewhere."""
    env, actions = Maze(MazeConfig(side, steps), batch, seeded(seed)), seeded(seed + 1)
    x, of = env.reset(), grid(side)
    goal = env.goal.clone()
    assert of.centre not in goal.tolist()
    assert not x[:, 9:].any()
    for t in range(steps):
        before, action = env.place.clone(), torch.randint(0, 4, (batch,), generator=actions)
        assert env.deciding.all()
        x, reward = env.step(action)
        for b in range(batch):
            entered = int(of.moves[before[b], action[b]])
            assert float(reward[b]) == (entered == goal[b])
            assert int(env.place[b]) == entered if entered != goal[b] else int(env.place[b]) != goal[b]
            shown = [*of.walls[env.place[b]].tolist(), (t + 1) / steps, float(reward[b]), *np.eye(4)[action[b]]]
            assert x[b].tolist() == pytest.approx(shown)
    assert torch.equal(env.goal, goal), "the reward stays"
    assert env.done
    assert not env.deciding.any()
    with pytest.raises(TrainingError, match="reset first"):
        env.step(torch.zeros(batch, dtype=torch.int64))


def test_goals_and_new_places_are_uniform() -> None:
    env = Maze(MazeConfig(5, 200), 3000, seeded(0))
    others = torch.arange(9) != env.grid.centre
    assert env.goal.bincount(minlength=9)[others].div(3000).tolist() == pytest.approx([1 / 8] * 8, abs=0.03)
    landed, actions = torch.zeros(9, 9), seeded(1)
    for _ in range(200):
        _, reward = env.step(torch.randint(0, 4, (3000,), generator=actions))
        hit = reward.bool()
        landed.index_put_((env.goal[hit], env.place[hit]), torch.ones(int(hit.sum())), accumulate=True)
    shares = landed[others] / landed[others].sum(1, keepdim=True)
    assert shares[~torch.eye(9, dtype=torch.bool)[others]].tolist() == pytest.approx([1 / 8] * 64, abs=0.05)


@pytest.mark.parametrize("config", [MazeConfig(5, 30), MazeConfig(7, 40)])
def test_references_by_simulation(config: MazeConfig) -> None:
    """Agents that act at random, and such that step to a cell nearer to the goal."""
    far, batch = distances(config.side), 4000

    def random(env: Maze) -> torch.Tensor:
        return torch.randint(0, 4, (batch,), generator=env.generator)

    def nearer(env: Maze) -> torch.Tensor:
        return far[env.grid.moves[env.place], env.goal.unsqueeze(1)].argmin(1)

    for agent, wanted in ((random, rewards_of_chance(config)), (nearer, rewards_of_knowing(config))):
        env = Maze(config, batch, seeded(3))
        earned = sum(env.step(agent(env))[1] for _ in range(config.steps))
        assert isinstance(earned, torch.Tensor)
        assert float(earned.mean()) == pytest.approx(wanted, abs=4 * float(earned.std()) / batch**0.5)


def test_one_step_by_hand() -> None:
    """From the centre of the 3 by 3 maze four of eight goals are one step away."""
    assert rewards_of_chance(MazeConfig(5, 1)) == pytest.approx(4 / 8 * 1 / 4)
    assert rewards_of_knowing(MazeConfig(5, 1)) == pytest.approx(4 / 8)


@pytest.mark.parametrize("wrong", [{"side": 6}, {"side": 3}, {"steps": 0}])
def test_mazes_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="must be odd and at least 5"):
        MazeConfig(**wrong)


# ---- Gymnasium


def test_gymnasiums_checker_is_content() -> None:
    checker = pytest.importorskip("gymnasium.utils.env_checker")
    from neuromorph.tasks.maze_gym import MazeEnv

    for config in (MazeConfig(), PAPER):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            checker.check_env(MazeEnv(config))
        assert all("not having a spec" in str(each.message) for each in told)


def test_gymnasiums_episodes_are_those_of_the_batch() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from neuromorph.tasks.maze_gym import MazeEnv

    single = MazeEnv(MazeConfig(5, 50))
    with pytest.raises(gymnasium.error.ResetNeeded):
        single.step(np.int64(0))
    seen, info = single.reset(seed=4)
    env = Maze(MazeConfig(5, 50), 1, seeded(int(gymnasium.utils.seeding.np_random(4)[0].integers(2**62))))
    x, actions = env.inputs, seeded(5)
    for t in range(50):
        assert np.array_equal(seen, x[0].numpy())
        assert info["place"] == tuple(env.grid.places[env.place[0]].tolist())
        assert info["goal"] == tuple(env.grid.places[env.goal[0]].tolist())
        action = torch.randint(0, 4, (1,), generator=actions)
        seen, reward, terminated, truncated, info = single.step(np.int64(int(action)))
        x, wanted = env.step(action)
        assert reward == float(wanted)
        assert (terminated, truncated) == (t == 49, False)
