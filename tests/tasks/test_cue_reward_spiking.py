"""Cue-reward in spikes: encoding by hand, the deployed graph against the trained network, training that goes on."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.cue_reward_spiking import beside, eligibilities
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.graph import load
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.quantize_plastic import limit_eligibility
from neuromorph.share_alpha import share_alpha
from neuromorph.tasks.cue_reward import CueReward, CueRewardConfig
from neuromorph.tasks.cue_reward_spiking import GAIN, Deployed, Played, Respond, Trained, channels, play, spikes_of, third_factor
from neuromorph.tasks.cue_reward_training import CueRewardTraining, network, train
from neuromorph.train.plastic_snn import PlasticSNN, PlasticSNNConfig
from neuromorph.train.plastic_snn_export import export_plastic
from tests.backends.test_lava import lava

ROOT = Path(__file__).parents[2]
TASK = CueRewardConfig(bits=3, cues=3, steps=16, least_blanks=0, most_blanks=0)
CONFIG = PlasticSNNConfig(n=12, steps=3)


def test_what_the_environment_shows() -> None:
    """Bits 1, -1, 1, no go, time 0.5, reward -1 for the answer 1; then a go cue."""
    x = torch.tensor([[1.0, -1.0, 1.0, 0.0, 0.5, -1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0, 0.9, 0.0, 0.0, 0.0]])
    wanted = [[1, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]]
    assert spikes_of(x, TASK).tolist() == wanted
    assert channels(TASK, outcomes=True) == len(wanted[0])
    assert channels(TASK) == len(wanted[0]) - 4
    assert third_factor(x, TASK).tolist() == pytest.approx([-GAIN, 0.0])


def test_outcomes_are_pairs_of_answer_and_reward() -> None:
    """A row for each: no and yes rewarded, no and yes punished."""
    x = torch.tensor([[0.0] * 5 + [reward, 1.0 - yes, float(yes)] for reward in (1.0, -1.0) for yes in (0, 1)])
    assert torch.equal(spikes_of(x, TASK)[:, -4:], torch.eye(4))


def episodes(agent: Respond) -> Played:
    """Four, always the same, with answers sampled alike."""
    return play(agent, CueReward(TASK, 4, torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2), greedy=False)


def with_modulator(seed: int) -> PlasticSNN:
    """One that tells outcomes apart, in float64."""
    model = network(replace(CONFIG, modulator=4), seed, TASK).double()
    with torch.no_grad():
        model.w_mod.copy_(torch.tensor([[-0.7, 0.7, 0.7, -0.7]]))
    return model


def test_a_modulator_of_its_own_needs_no_third_factor() -> None:
    """Deployed as trained, floats to 1e-10; and what it writes is due to its weights alone."""
    model = with_modulator(0)
    graph = export_plastic(model)
    assert graph.third_factors == {}
    with torch.no_grad(), ReferenceBackend().step_session(graph, n_samples=4) as session:
        agents = Trained(model, 4), Deployed(graph, session, CONFIG.steps)
        played = [
            play(a, CueReward(TASK, 4, torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2), greedy=False) for a in agents
        ]
        written = session.plastic("hidden->hidden")["H"]
        torch.testing.assert_close(played[0].logits, played[1].logits, rtol=0, atol=1e-10)
        assert np.abs(written).max() > 0
        model.w_mod.zero_()
        silent = Trained(model, 4)
        episodes(silent)
    assert not silent.state.H.any()


def test_a_modulator_learns_in_integers() -> None:
    integer, _ = quantize(export_plastic(with_modulator(0)), load_profile("loihi2"))
    with torch.no_grad(), ReferenceBackend().step_session(integer, n_samples=4) as session:
        play(Deployed(integer, session, CONFIG.steps), CueReward(TASK, 4, torch.Generator().manual_seed(1)), torch.Generator(), greedy=True)
        H = session.plastic("hidden->hidden")["H"]
    assert 0.01 < np.abs(H).max() / integer.plastic[0].plasticity.clip <= 1


def test_a_modulator_is_trained_at_a_rate_of_its_own(tmp_path: Path) -> None:
    """It starts at 0 and moves by its rate, Adam's first step."""
    model = network(replace(CONFIG, modulator=4), 0, TASK)
    train(model, CueRewardTraining(1, batch=4, lr=1e-2, lr_modulator=1e-4), 0, tmp_path, task=TASK)
    moved = model.w_mod[model.w_mod != 0].abs()
    assert len(moved) >= 2  # outcomes that occurred
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-4), rtol=1e-2, atol=0)


@pytest.mark.parametrize("learning", [True, False])
def test_the_deployed_graph_answers_as_the_trained_network(learning: bool) -> None:
    """In float64: the same logits in closed loop, in which each reward depends on the answer before it."""
    model = network(CONFIG, 0, TASK).double()
    graph = export_plastic(model)
    with torch.no_grad(), ReferenceBackend().step_session(graph, n_samples=4) as session:
        played = [
            play(agent, CueReward(TASK, 4, torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2), greedy=False)
            for agent in (Trained(model, 4, learning=learning), Deployed(graph, session, CONFIG.steps, learning=learning))
        ]
        written = session.plastic("hidden->hidden")["H"]
    torch.testing.assert_close(played[0].logits, played[1].logits, rtol=0, atol=1e-10)
    assert torch.equal(played[0].right, played[1].right)
    assert played[0].right.shape == (4, 4)
    assert bool(np.abs(written).max() > 0) == learning


def test_integers_learn_in_closed_loop() -> None:
    model = network(CONFIG, 0, TASK)
    integer, report = quantize(export_plastic(model), load_profile("loihi2"))
    with torch.no_grad(), ReferenceBackend().step_session(integer, n_samples=4) as session:
        played = play(
            Deployed(integer, session, CONFIG.steps), CueReward(TASK, 4, torch.Generator().manual_seed(1)), torch.Generator(), greedy=True
        )
        H = session.plastic("hidden->hidden")["H"]
    assert played.right.shape == (4, 4)
    assert 0.01 < np.abs(H).max() / report.plastic[0].plastic_scale <= 1


@lava
def test_lavas_own_engine_learns_the_task_in_closed_loop() -> None:
    """The trained network of seed 0 with shared alphas: of two episodes' answers most are those of the exact rule, and both have learned.

    (`benchmarks/results/cue_reward_spiking.json`: 92 % of 1,024.)
    """
    shared, _ = share_alpha(load(ROOT / "benchmarks" / "models" / "cue_reward_spiking_0.h5"))
    integer, _ = quantize(shared, load_profile("loihi2"))
    bounded = limit_eligibility(integer, eligibilities(integer, 8))
    found = beside(bounded, "stock", 2)
    assert found["answers_equal"] >= 0.75
    assert np.mean(found["accuracy"]["lava"][3:]) >= 0.6


def test_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    whole, parts = network(CONFIG, 3, TASK), network(CONFIG, 3, TASK)
    history = train(whole, CueRewardTraining(4, batch=4, record_every=2), 3, tmp_path / "whole", task=TASK)
    train(parts, CueRewardTraining(2, batch=4, record_every=2), 3, tmp_path / "parts", task=TASK)
    again = network(CONFIG, 9, TASK)
    resumed = train(again, CueRewardTraining(4, batch=4, record_every=2), 3, tmp_path / "parts", task=TASK)
    assert [h["update"] for h in history] == [h["update"] for h in resumed] == [2, 4]
    assert [h["accuracy"] for h in history] == [h["accuracy"] for h in resumed]
    for a, b in zip(whole.parameters(), again.parameters()):
        assert torch.equal(a, b)
        assert not torch.equal(a, network(CONFIG, 3, TASK).state_dict()[next(n for n, p in whole.named_parameters() if p is a)])


def test_the_benchmark_runs(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    command = [sys.executable, "-m", "benchmarks.cue_reward_spiking", "--smoke", "--out", str(out)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (seed,) = json.loads(out.read_text())["seeds"]
    assert {len(curve) for curve in seed["greedy"].values()} == {8}
    assert (tmp_path / "models" / "cue_reward_spiking_0.h5").exists()
