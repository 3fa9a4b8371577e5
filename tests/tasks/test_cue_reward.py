"""The cue-reward task: against its description, a Bayesian agent that sees the inputs alone, and Gymnasium's own checker."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import TrainingError
from neuromorph.tasks.cue_reward import CONTROL, PAPER, CueReward, CueRewardConfig, bayes_ceiling, draw


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def played(env: CueReward, answer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of every step and rewards [T, B]; `answer(x, deciding)` gives the action."""
    x, inputs, rewards = env.reset(), [], []
    for _ in range(env.steps):
        inputs.append(x.clone())
        x, reward = env.step(answer(x, env.deciding))
        rewards.append(reward)
    assert env.done
    return torch.stack(inputs), torch.stack(rewards)


configs = st.builds(
    lambda cues, bits, lead, least, more, steps: CueRewardConfig(bits, cues, steps, least, least + more, lead),
    st.integers(2, 5),
    st.integers(1, 6),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(11, 50),
)


@settings(max_examples=40, deadline=None)
@given(config=configs, batch=st.integers(1, 5), seed=st.integers(0, 100))
def test_scripts_are_rows_of_trials(config: CueRewardConfig, batch: int, seed: int) -> None:
    """Each sample is read trial by trial: lead, two cues among blanks, go, the step of the reward."""
    script = draw(config, batch, seeded(seed))
    shown = (script.x[..., : config.bits] != 0).any(-1)
    assert torch.equal(script.x[..., config.bits] == 1, script.go)
    assert script.x[..., config.bits + 1].eq(torch.arange(config.steps).div(config.steps)[:, None]).all()
    assert not script.x[..., config.bits + 2 :].any()
    for b in range(batch):
        start, cues = 0, {}
        for k, go in enumerate(script.go[:, b].nonzero()[:, 0].tolist()):
            assert config.lead + 2 + config.least_blanks <= go - start <= config.lead + 2 + config.most_blanks
            assert not shown[start : start + config.lead, b].any()
            places = (start + shown[start : go + 2, b].nonzero()[:, 0]).tolist()
            assert len(places) == 2
            assert max(places) < go
            for place, cue in zip(places, script.pair[k, b].tolist()):
                assert cues.setdefault(cue, script.x[place, b, : config.bits].tolist()) == script.x[place, b, : config.bits].tolist()
            assert bool(script.label[go, b]) == (int(script.target[b]) in script.pair[k, b].tolist())
            start = go + 2
        assert config.steps - start < config.longest, "no trial that fits is left out"


def test_rewards_and_what_the_next_step_shows() -> None:
    config = CueRewardConfig(bits=3, steps=30, least_blanks=0, most_blanks=2)
    env = CueReward(config, 6, seeded(1))
    actions: list[torch.Tensor] = []
    generator = seeded(2)

    def guess(x: torch.Tensor, deciding: torch.Tensor) -> torch.Tensor:
        actions.append(torch.randint(0, 2, (6,), generator=generator))
        return actions[-1]

    x, rewards = played(env, guess)
    go, label, answer = env.script.go, env.script.label, torch.stack(actions)
    assert torch.equal(rewards, torch.where(answer == label.long(), 1.0, -1.0) * go)
    assert torch.equal(x[1:, :, 5], rewards[:-1])
    assert torch.equal(x[1:, :, 6:], torch.nn.functional.one_hot(answer[:-1], 2) * go[:-1, :, None].float())
    assert not x[0, :, 5:].any()
    with pytest.raises(TrainingError, match="reset first"):
        env.step(answer[0])


def test_the_papers_trials() -> None:
    go = draw(PAPER, 200, seeded(0)).go
    lengths = torch.cat([g.nonzero()[:, 0].diff() for g in go.T])
    assert sorted(set(lengths.tolist())) == [5, 6, 7, 8]
    assert lengths.float().mean() == pytest.approx(6.5, abs=0.1)
    assert go.sum(0).float().mean() == pytest.approx(200 / 6.5, abs=0.5)
    assert CueRewardConfig().most_trials == 15
    assert int(draw(CueRewardConfig(), 3, seeded(0)).go.sum()) == 45


def test_targets_are_in_half_of_the_pairs_and_cues_are_drawn_anew() -> None:
    script = draw(CueRewardConfig(), 2000, seeded(0))
    assert script.label[script.go].float().mean() == pytest.approx(0.5, abs=0.01)
    assert script.target.bincount().float().div(2000).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    patterns = script.x[..., :20]
    assert set(patterns.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert len(patterns[:, :100].reshape(-1, 20).unique(dim=0)) == 401, "four cues an episode, and the blank"


def test_the_control_has_the_same_four_cues_always() -> None:
    patterns = draw(CONTROL, 50, seeded(0)).x[..., :4].reshape(-1, 4).unique(dim=0)
    assert patterns.tolist() == [[0.0] * 4, [0.0, 0, 0, 1], [0.0, 0, 1, 0], [0.0, 1, 0, 0], [1.0, 0, 0, 0]]


def test_the_ceiling_by_hand_and_by_an_agent_that_sees_the_inputs_alone() -> None:
    """Trial 1: 1/2. Trial 2: two cues are left; the new pair has both, none (each 1/6: certain) or one (2/3: a guess): 2/3."""
    ceiling = bayes_ceiling(4, 15)
    assert ceiling[:2] == pytest.approx([1 / 2, 2 / 3])
    assert bayes_ceiling(2, 3) == pytest.approx([1.0, 1.0, 1.0])
    assert ceiling == sorted(ceiling)
    config, batch = CueRewardConfig(), 4000
    env = CueReward(config, batch, seeded(3))
    weights = 2.0 ** torch.arange(20)
    known = torch.zeros(batch, 4)  # codes of the cues seen so far
    belief = torch.full((batch, 4), 0.25)
    pair = torch.zeros(batch, 4, dtype=torch.bool)

    def best(x: torch.Tensor, deciding: torch.Tensor) -> torch.Tensor:
        nonlocal belief, pair
        if bool(deciding.all()):
            return (belief * pair).sum(1).mul(2).gt(belief.sum(1)).long()
        if bool(x[:, 22].any()):  # reward: keep the cues that agree with it
            inside = (x[:, 22] > 0) == (x[:, 24] > 0)
            belief = belief * torch.where(inside[:, None], pair, ~pair)
            pair = torch.zeros_like(pair)
        code, seen = (x[:, :20].clamp(min=0) @ weights) + 1, x[:, :20].any(1)
        for slot in range(4):
            free = seen & (known[:, slot] == 0) & ~(known == code[:, None]).any(1)
            known[free, slot] = code[free]
        hit = (known == code[:, None]) & seen[:, None]
        pair = pair | hit
        return torch.zeros(batch, dtype=torch.int64)

    _, rewards = played(env, best)
    right = (rewards[env.script.go].view(15, batch) > 0).float().mean(1)
    assert right.tolist() == pytest.approx(ceiling, abs=4 * 0.5 / batch**0.5)


def test_equal_generators_give_equal_episodes() -> None:
    a, b = (draw(PAPER, 3, seeded(5)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b))
    env = CueReward(PAPER, 3, seeded(5))
    first = env.script.target.clone(), env.script.x.clone()
    env.reset()
    assert not torch.equal(first[1], env.script.x)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cues": 1}, "two cues"),
        ({"least_blanks": 3}, "least_blanks <= most_blanks"),
        ({"fixed_cues": True}, "bits must equal cues"),
        ({"steps": 5}, "the episode must have as many"),
    ],
)
def test_tasks_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        CueRewardConfig(**wrong)


# ---- Gymnasium


def test_gymnasiums_checker_is_content() -> None:
    checker = pytest.importorskip("gymnasium.utils.env_checker")
    from neuromorph.tasks.cue_reward_gym import CueRewardEnv

    for config in (CueRewardConfig(), PAPER, CONTROL):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            checker.check_env(CueRewardEnv(config))
        assert all("not having a spec" in str(each.message) for each in told)


def test_gymnasiums_episodes_are_those_of_the_batch() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from neuromorph.tasks.cue_reward_gym import CueRewardEnv

    single = CueRewardEnv(PAPER)
    with pytest.raises(gymnasium.error.ResetNeeded):
        single.step(np.int64(0))
    seen, info = single.reset(seed=4)
    generator, _ = gymnasium.utils.seeding.np_random(4)
    env = CueReward(PAPER, 1, seeded(int(generator.integers(2**62))))
    x = env.script.x[0]
    for t in range(PAPER.steps):
        assert np.array_equal(seen, x[0].numpy())
        assert info["deciding"] == bool(env.deciding)
        seen, reward, terminated, truncated, info = single.step(np.int64(t % 2))
        x, wanted = env.step(torch.tensor([t % 2]))
        assert reward == float(wanted)
        assert (terminated, truncated) == (t == PAPER.steps - 1, False)
    again, _ = single.reset(seed=4)
    assert np.array_equal(again, CueReward(PAPER, 1, seeded(int(gymnasium.utils.seeding.np_random(4)[0].integers(2**62)))).script.x[0, 0])
