"""Episodes with the environment inside: the same numbers and gradients as a whole sequence of the recorded inputs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.plastic import Episode, PlasticCore, Plasticity
from tests.train.test_plastic import CELLS, RULES, TOLERANCE, made, seeded, state_of


def lived(core: PlasticCore, steps: int, state: Any, given: Tensor | None) -> tuple[Episode, list[Tensor], Tensor]:
    """An episode whose input is written into one tensor, after what the network did last."""
    episode, x, seen, inputs = Episode(core, steps, state), torch.ones(4, core.n_in, dtype=torch.float64), [], []
    for t in range(steps):
        inputs.append(x.clone())
        seen.append(episode.step(x, None if given is None else given[t]))
        x[:] = torch.sin(seen[-1][:, : core.n_in] * 7 + t)
    return episode, seen, torch.stack(inputs)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("rule", "modulator"), RULES)
@pytest.mark.parametrize("cell", CELLS)
def test_an_episode_is_the_sequence_of_its_inputs(cell: str, rule: Any, modulator: Any, compiled: bool) -> None:
    plasticity = Plasticity(rule, modulator=modulator, clip=0.2, initial_alpha=0.6)
    core = made(cell, plasticity, compiled=compiled)
    start = state_of(core, 4, 2, plasticity.clip)
    given = None
    if plasticity.modulated and modulator == "given":
        given = torch.randn(7, 4, generator=seeded(3), dtype=torch.float64).requires_grad_()
    episode, seen, inputs = lived(core, 7, start, given)
    hidden, end = episode.finish()
    assert not any(h.requires_grad for h in seen)
    torch.testing.assert_close(hidden, torch.stack(seen), rtol=0, atol=0)
    oracle = made(cell, plasticity, compiled=False)
    wanted, last = oracle(inputs, start, given)
    torch.testing.assert_close(hidden, wanted, rtol=0, atol=TOLERANCE)
    factor = torch.randn(hidden.shape, generator=seeded(5), dtype=torch.float64)
    extra = [*start, *([given] if given is not None else [])]
    for model, (value, state) in {core: (hidden, end), oracle: (wanted, last)}.items():
        loss = (value * factor).sum() + sum(part.square().sum() for part in state)
        model.found = torch.autograd.grad(loss, [*model.parameters(), *extra], allow_unused=True, materialize_grads=True)
    for a, b in zip(core.found, oracle.found):
        torch.testing.assert_close(a, b, rtol=TOLERANCE, atol=TOLERANCE)


def test_an_episode_may_end_early() -> None:
    core = made("rnn", Plasticity("retroactive"))
    x = torch.randn(3, 2, 3, generator=seeded(1), dtype=torch.float64)
    episode = Episode(core, 50, core.initial_state(2))
    for each in x:
        episode.step(each)
    hidden, state = episode.finish()
    wanted, last = core(x)
    torch.testing.assert_close(hidden, wanted)
    torch.testing.assert_close(state.E, last.E)
    hidden.sum().backward()


@pytest.mark.parametrize("compiled", [True, False])
def test_steps_that_an_episode_does_not_have(compiled: bool) -> None:
    core = made("rnn", Plasticity("none"), compiled=compiled)
    episode = Episode(core, 1, core.initial_state(1))
    with pytest.raises(TrainingError, match="no step has been made"):
        episode.finish()
    episode.step(torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(TrainingError, match="all of its 1 steps"):
        episode.step(torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(TrainingError, match="modulation is not used"):
        Episode(core, 1, core.initial_state(1)).step(torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))


def test_parameters_that_changed_before_the_backward_pass_are_noticed() -> None:
    core = made("rnn", Plasticity("modulated"))
    hidden, _ = core(torch.ones(4, 1, 3, dtype=torch.float64))
    with torch.no_grad():
        core.recurrent_weights.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        hidden.sum().backward()


def test_the_backward_pass_can_be_repeated() -> None:
    core = made("lstm", Plasticity("retroactive", clip=0.2))
    hidden, _ = core(torch.ones(6, 2, 3, dtype=torch.float64))
    first = torch.autograd.grad(hidden.square().sum(), list(core.parameters()), retain_graph=True)
    again = torch.autograd.grad(hidden.square().sum(), list(core.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
