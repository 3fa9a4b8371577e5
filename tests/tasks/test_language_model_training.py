"""Language models: a plain one against PyTorch's own LSTM, truncation, carried plasticity, schedules, runs that go on bit for bit."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuromorph.errors import TrainingError
from neuromorph.tasks.language_model import Corpus, Markov, markov, markov_perplexity, unigram_perplexity
from neuromorph.tasks.language_model_network import LanguageModel, LanguageModelConfig, dropped, parameters
from neuromorph.tasks.language_model_training import LanguageModelLearner, LanguageModelTraining, loss_of, perplexity, train, windows
from neuromorph.train import resumable
from neuromorph.train.plastic import Plasticity

SMALL = LanguageModelConfig((6, 6), 5)
RULES = {
    "none": Plasticity("none"),
    "hebbian": Plasticity("hebbian", eta="synapse"),
    "modulated": Plasticity("modulated", modulator="synapse"),
    "retroactive": Plasticity("retroactive", modulator="synapse", initial_alpha=0.5),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(rule: str = "retroactive", words: int = 7, seed: int = 0, **options: Any) -> LanguageModel:
    return LanguageModel(replace(SMALL, plasticity=RULES[rule], **options), words, generator=seeded(seed))


def corpus(words: int = 7) -> Corpus:
    return markov(Markov(words), 0, (130, 40, 30))


# ---- the model


def test_without_plasticity_it_is_an_lstm() -> None:
    """PyTorch's own, whose gates are in the order input, forget, candidate, output."""
    model = made("none")
    other = nn.LSTM(5, 6, 2)
    for k, core in enumerate(model.cores):
        order = [1, 2, 0, 3]
        assert core.gate_weights is not None
        recurrent = torch.cat([core.recurrent_weights, core.gate_weights])
        for name, value in (("weight_ih", core.input_weights), ("weight_hh", recurrent), ("bias_ih", core.bias)):
            getattr(other, f"{name}_l{k}").data = torch.cat([value.chunk(4)[i] for i in order]).detach()
        getattr(other, f"bias_hh_l{k}").data.zero_()
    words = torch.randint(0, 7, (9, 3), generator=seeded(1))
    hidden, _ = other(model.embedding[words])
    assert model.output is not None
    torch.testing.assert_close(model(words, model.initial_states(3)).logits, hidden @ model.output.T + model.bias)


@pytest.mark.parametrize("rule", RULES)
def test_two_windows_are_one(rule: str) -> None:
    """Carried states are all that a window needs, and bring no history with them."""
    model, words = made(rule), torch.randint(0, 7, (12, 3), generator=seeded(1))
    whole = model(words, model.initial_states(3))
    first = model(words[:5], model.initial_states(3))
    second = model(words[5:], [state.detach() for state in first.states])
    torch.testing.assert_close(torch.cat([first.logits, second.logits]), whole.logits)
    assert all(torch.equal(a.H, b.H) for a, b in zip(second.states, whole.states))
    if rule != "none":
        assert float(whole.states[0].H.detach().abs().max()) > 0
    assert all(state.h.requires_grad for state in first.states)
    assert not any(part.requires_grad for state in first.states for part in state.detach())


def test_sizes() -> None:
    """The published counts: 4,811,600 and 4,812,002 parameters at 200 neurons with plasticity, 4,810,624 without at 206."""
    for n, rule, wanted in ((200, "hebbian", 4_811_600), (200, "modulated", 4_812_002), (206, "none", 4_810_624)):
        model = LanguageModel(LanguageModelConfig((n, n), n, plasticity=RULES[rule]), 10_000, generator=seeded(0))
        assert parameters(model) == wanted


def test_tied_weights_are_one_matrix() -> None:
    model = LanguageModel(LanguageModelConfig((6, 4), 4, tied=True), 9, generator=seeded(0))
    assert parameters(model) == 9 * 4 + 9 + sum(parameters(core) for core in model.cores)
    with pytest.raises(TrainingError, match="as wide as the embedding"):
        LanguageModelConfig((6, 5), 4, tied=True)


def test_dropout() -> None:
    x = dropped(torch.ones(4, 1000, 3), (1, 1000, 3), 0.3, seeded(0))
    assert torch.equal(x, x[:1].expand_as(x)), "the same on all steps"
    assert x.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((x == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    model = made(drop_word=0.2, drop_embedded=0.4, drop_hidden=0.3, drop_output=0.4)
    words, states = torch.zeros(3, 2, dtype=torch.int64), model.initial_states(2)
    still = model(words, states).logits
    assert torch.equal(still, model(words, states).logits)
    assert not torch.equal(still, model(words, states, seeded(0)).logits)
    assert torch.equal(model(words, states, seeded(0)).logits, model(words, states, seeded(0)).logits)


# ---- reading


def test_perplexity_of_one_stream_word_by_word() -> None:
    model, text = made(), torch.randint(0, 7, (25,), generator=seeded(2))
    states, total = model.initial_states(1), 0.0
    for word, following in pairwise(text):
        reading = model(word.view(1, 1), states)
        states = reading.states
        total -= float(reading.logits[0, 0].log_softmax(-1)[following].detach())
    assert perplexity(model, text) == pytest.approx(math.exp(total / 24), rel=1e-5)


def test_perplexity_of_a_model_that_knows_nothing() -> None:
    model = made()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert perplexity(model, torch.randint(0, 7, (1000,), generator=seeded(0)), 3) == pytest.approx(7.0)


# ---- windows and rates


@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("length", [2, 41, 333])
def test_windows_cover_every_epoch(length: int, vary: bool) -> None:
    training = LanguageModelTraining(epochs=3, window=20, vary=vary)
    cut = windows(length, training, 5)
    assert cut == windows(length, training, 5)
    for epoch in range(3):
        mine = [w for w in cut if w.epoch == epoch]
        assert [step for w in mine for step in range(w.start, w.stop)] == [*range(length - 1)]
        assert [w.last for w in mine] == [False] * (len(mine) - 1) + [True]
    lengths = {w.stop - w.start for w in cut if not w.last}
    assert lengths <= {20} if not vary else all(5 <= n < 45 for n in lengths)
    assert not vary or length < 100 or len(lengths) > 3


def first_update(training: LanguageModelTraining, model: LanguageModel) -> dict[str, Tensor]:
    """Change of every parameter by one update."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    LanguageModelLearner(model, corpus(), training, 0).learn()
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def test_an_update_by_hand() -> None:
    """The gradient of the mean loss of the first window by autograd, weight decay, penalties; not cut."""
    training = LanguageModelTraining(lr=0.5, clip_norm=100.0, weight_decay=0.1, batch=3, window=4, activity=2.0, change=1.5)
    model = made("modulated")
    text = corpus().train[:129].view(3, 43).T
    reading = model(text[:4], model.initial_states(3))
    loss = cross_entropy(reading.logits.reshape(12, 7), text[1:5].reshape(12))
    loss = loss + 2.0 * (reading.raw**2).mean() + 1.5 * ((reading.raw[1:] - reading.raw[:-1]) ** 2).mean()
    grads = torch.autograd.grad(loss, list(model.parameters()))
    wanted = {name: -0.5 * (g + 0.1 * p.detach()) for (name, p), g in zip(model.named_parameters(), grads)}
    for name, change in first_update(training, model).items():
        torch.testing.assert_close(change, wanted[name], rtol=1e-4, atol=1e-6)


def test_gradients_are_cut() -> None:
    changes = first_update(LanguageModelTraining(lr=2.0, clip_norm=0.01, weight_decay=0.0, batch=3), made())
    assert math.sqrt(sum(float(change.square().sum()) for change in changes.values())) == pytest.approx(0.02, rel=1e-3)


def test_the_rate_falls_epoch_by_epoch() -> None:
    training = LanguageModelTraining(epochs=5, lr=8.0, decay=0.5, decay_after=2, batch=3, window=50, clip_norm=1e-6)
    learner = LanguageModelLearner(made(), corpus(), training, 0)
    rates = []
    for _ in learner.windows:
        learner.learn()
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == [8.0, 8.0, 4.0, 2.0, 1.0]


def test_states_are_carried_within_an_epoch_and_zero_at_its_start() -> None:
    learner = LanguageModelLearner(made(), corpus(), LanguageModelTraining(epochs=2, batch=3, window=15, lr=1e-9), 0)
    sizes = []
    for _ in learner.windows:
        learner.learn()
        sizes.append(float(learner.states[0].H.abs().sum()))
    assert len(learner.windows) == 6
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[3:] == pytest.approx(sizes[:3], rel=1e-3)
    assert not learner.states[0].H.requires_grad


def test_the_mean_of_weights_is_what_is_read() -> None:
    training = LanguageModelTraining(epochs=3, batch=3, window=15, average_after=1, lr=5.0)
    learner = LanguageModelLearner(made(), corpus(), training, 0)
    seen = []
    for w in learner.windows:
        learner.learn()
        if w.epoch >= 1:
            seen.append(learner.model.bias.detach().clone())
    with learner.for_reading() as model:
        torch.testing.assert_close(model.bias.detach(), torch.stack(seen).mean(0))
        assert learner.history[-1]["valid"] == perplexity(model, corpus().valid)
    assert torch.equal(learner.model.bias, seen[-1])


def test_numbers_that_are_no_longer_finite_stop_it() -> None:
    model = made()
    model.bias.data[0] = math.nan
    with pytest.raises(TrainingError, match="Update 1: the gradient is no longer finite"):
        train(model, corpus(), LanguageModelTraining(batch=3), progress=False)


# ---- learning, and going on


def test_it_learns_the_chain() -> None:
    """Far below the words' own frequencies, never below the chain's entropy (by more than the text's chance)."""
    source, training = Markov(6, 2.5), LanguageModelTraining(epochs=5, batch=10, lr=5.0, decay_after=3)
    text, model = markov(source, 0, (20_000, 1000, 4000)), made("retroactive", 6, layers=(16, 16), scale=0.3)
    learner = train(model, text, training, progress=False)
    best = markov_perplexity(source, 0)
    reached = perplexity(model, text.test)
    assert [entry["epoch"] for entry in learner.history] == [1, 2, 3, 4, 5]
    assert learner.history[-1]["valid"] < learner.history[0]["valid"] < unigram_perplexity(text)
    assert 0.95 * best < reached < 1.15 * best


@pytest.mark.parametrize("rule", ["none", "retroactive"])
def test_a_killed_run_goes_on_bit_for_bit(rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = LanguageModelTraining(epochs=3, batch=3, window=15, vary=True, average_after=1, save_every=2)

    def run(folder: Path) -> tuple[LanguageModelLearner, LanguageModel]:
        model = made(rule, drop_hidden=0.3, drop_word=0.1)
        return train(model, corpus(), training, folder=folder, progress=False), model

    whole, wanted = run(tmp_path / "whole")
    save, saved = resumable.save_state, []

    def dying(folder: Path, state: Any) -> None:
        save(folder, state)
        saved.append(state["update"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(resumable, "save_state", dying)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed")
    monkeypatch.undo()
    assert saved == [2, 4]
    learner, model = run(tmp_path / "killed")
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), wanted.state_dict().values()))
    assert all(torch.equal(learner.mean[name], whole.mean[name]) for name in whole.mean)
    for ours, theirs in zip(learner.history, whole.history):
        assert {**ours, "cpu_s": 0} == {**theirs, "cpu_s": 0}


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": 0.0}, {"clip_norm": 0.0}])
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="must be positive"):
        LanguageModelTraining(**wrong)
    with pytest.raises(TrainingError, match="dropout from 0 to less than 1"):
        LanguageModelConfig(drop_word=1.0)


def test_the_loss_is_the_mean_over_words() -> None:
    model, text = made(), torch.randint(0, 7, (5, 2), generator=seeded(0))
    reading = model(text[:-1], model.initial_states(2))
    by_hand = [-float(reading.logits[t, b].log_softmax(-1)[text[t + 1, b]].detach()) for t in range(4) for b in range(2)]
    assert float(loss_of(reading, text[1:]).detach()) == pytest.approx(sum(by_hand) / 8)
