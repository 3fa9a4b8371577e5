"""The smoke size of the phone experiment; encodings and scores by hand; a killed run goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import phones as experiment
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.data.phones import Recipe, make
from neuromorph.data.phones.corpus import NOT_COUNTED, Framed
from neuromorph.graph import load
from neuromorph.spikes import Spikes
from neuromorph.tasks.phones import Encoding, SpikingPhones, answers, chunks, errors, frame_error, together
from neuromorph.train import resumable
from neuromorph.train.deep_r import DeepR
from neuromorph.train.export import export
from tests.data.phone_files import need_flite


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_flite()
    folder = tmp_path_factory.mktemp("phones")
    make(folder / "corpus", Recipe(train=4, test=2))
    return folder


def test_every_condition_once(folder: Path) -> None:
    args = experiment.smoke(folder)
    runs = experiment.main(args)
    assert [run["condition"] for run in runs] == list(args.conditions)
    assert all(0 <= run["value"] <= 100 for run in runs)
    assert experiment.main(args) == runs, "a second call finds everything done"
    assert load(folder / "phones_online.h5").n_synapses == runs[3]["parameters"]


def test_the_network_of_one_direction_on_a_simulator() -> None:
    """Its graph's readout gives the answers of the trained network."""
    small = replace(experiment.ONLINE, n_excitatory=9, n_inhibitory=4, n_adaptive=7)
    args = replace(experiment.Args(), online=small)
    model = experiment.network(args, "online", 0)
    deep_r = experiment.optimizer(args, "online", model, 0)
    assert isinstance(model, SpikingPhones)
    assert isinstance(deep_r, DeepR)
    spoken_ones = together([spoken(20, 1), spoken(13, 2)])
    spikes = Spikes.from_dense(model.input(spoken_ones).numpy(), args.encoding.dt)
    recording = ReferenceBackend().run(export(model.lsnn, signs=deep_r.signs), spikes)
    assert recording.spikes["adaptive"].rate() > 1
    found = answers(torch.from_numpy(recording.readouts["readout"]), args.encoding.steps_per_frame, args.delay)
    assert found.shape == (20, 2, 39)
    torch.testing.assert_close(args.logit_scale * found.float(), model(spoken_ones).logits.detach(), rtol=1e-4, atol=1e-4)


def test_a_killed_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = replace(experiment.smoke(folder), updates=4, runs=folder / "whole")
    monkeypatch.setattr(experiment, "learn", lambda *given, save_every, **named: resumable.learn(*given, save_every=1, **named))
    whole = experiment.one(args, "lsnn", 0)
    again, saves, save = replace(args, runs=folder / "again"), [], resumable.save_state

    def dying(at: Path, state: dict) -> None:
        if len(saves) == 2:
            raise KeyboardInterrupt
        saves.append(save(at, state))

    with monkeypatch.context() as patched:
        patched.setattr(resumable, "save_state", dying)
        with pytest.raises(KeyboardInterrupt):
            experiment.one(again, "lsnn", 0)
    found = experiment.one(again, "lsnn", 0)
    assert (found["value"], found["curve"]) == (whole["value"], whole["curve"])


def test_the_lstm_has_about_as_many_parameters() -> None:
    sizes = {c: experiment.parameters(experiment.network(experiment.Args(), c, 0)) for c in ("lsnn", "lif", "lstm")}
    assert max(sizes.values()) < 1.02 * min(sizes.values()), sizes


def spoken(n: int, seed: int = 0) -> Framed:
    rng = np.random.default_rng(seed)
    return Framed(f"u{seed}", rng.normal(0, 1, (n, 39)).astype(np.float32), rng.integers(0, 39, n))


def test_each_feature_fires_the_channel_of_its_level() -> None:
    encoding = Encoding(n_levels=4, reach=1.0, steps_per_frame=2)
    features = torch.zeros(2, 1, 39)
    features[0, 0, :4] = torch.tensor([-1.5, -0.5, 0.5, 1.5])
    found = encoding(features, torch.tensor([[True], [False]])).view(2, 2, 39, 4)
    assert found[0, 0, :4].tolist() == torch.eye(4, dtype=torch.bool).tolist()
    assert not found[0, 1].any(), "only in the first step of a frame"
    assert not found[1].any(), "padding is silent"


def test_padding_and_uncounted_frames_are_no_errors() -> None:
    batch = together([spoken(3, 1), spoken(5, 2)])
    assert batch.labels[3:, 0].tolist() == [NOT_COUNTED] * 2
    logits = torch.nn.functional.one_hot(batch.labels.clamp(min=0), 39).float()
    logits[0, 0] = logits[0, 0].roll(1)
    assert errors(logits, batch.labels) == (1, 8)


def test_whole_utterances_are_judged_one_by_one_as_in_a_batch() -> None:
    """Padding does not reach what a network of one direction says."""
    config = replace(experiment.LEARNED, n_excitatory=6, n_inhibitory=2, n_adaptive=4, bidirectional=False)
    model = SpikingPhones(config, Encoding(), generator=torch.Generator().manual_seed(0))
    spoken_ones = [spoken(20, 1), spoken(12, 2), spoken(31, 3)]
    apart = [frame_error(model, [each]) * len(each) for each in spoken_ones]
    assert frame_error(model, spoken_ones) == pytest.approx(sum(apart) / sum(map(len, spoken_ones)))


def test_stretches_are_parts_of_utterances() -> None:
    one = spoken(30)
    batch = chunks([one], 5, 8, np.random.default_rng(0))
    starts = [int(np.flatnonzero(one.features[:, 0] == float(batch.features[0, k, 0]))[0]) for k in range(5)]
    for k, first in enumerate(starts):
        np.testing.assert_array_equal(batch.features[:, k].numpy(), one.features[first : first + 8])
    assert len(set(starts)) > 1
