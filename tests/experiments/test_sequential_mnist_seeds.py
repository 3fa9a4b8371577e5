"""The smoke size of sequential MNIST over seeds: results are kept, a killed LSTM goes on."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import sequential_mnist_seeds as experiment
from neuromorph.train.interrupts import TrainingInterrupted
from neuromorph.train.resumable import learn
from tests.data.files import need_mnist


def test_every_kind_of_network_once(tmp_path: Path) -> None:
    need_mnist()
    args = experiment.smoke(tmp_path)
    runs = experiment.main(args)
    assert [run["condition"] for run in runs] == list(args.conditions)
    assert args.out.with_suffix(".png").exists()
    assert runs[0]["synapses"] == 8184
    assert runs[2]["parameters"] == 4 * 8 * (80 + 8 + 2) + 8 * 10 + 10
    assert experiment.main(args) == runs, "a second call finds everything done"


def test_changes_are_those_of_the_paper() -> None:
    lif, slow = (experiment.config(experiment.Args(), name, 0) for name in ("lif", "lsnn_2ms"))
    assert (lif.network.n_adaptive, lif.network.n, lif.network.n_inhibitory) == (0, 220, 54)
    assert (slow.network.tau_a, slow.training.window) == (1.4, 112)
    full = experiment.config(experiment.Args(), "full", 0).deep_r
    assert (full.connectivity, full.l1) == (1.0, 0.0)


def test_a_stopped_lstm_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_mnist()
    args = experiment.smoke(tmp_path)
    whole = experiment.lstm(args, "lstm", 0)
    again = replace(args, runs=tmp_path / "again")
    real, calls = experiment.Supervised.learn, []

    def dying(learner: experiment.Supervised) -> None:
        if calls:
            raise TrainingInterrupted("stopped", 15)
        calls.append(real(learner))

    monkeypatch.setattr(experiment.Supervised, "learn", dying)
    monkeypatch.setattr(experiment, "learn", lambda *given, save_every, **named: learn(*given, save_every=1, **named))
    with pytest.raises(TrainingInterrupted):
        experiment.lstm(again, "lstm", 0)
    monkeypatch.undo()
    assert experiment.lstm(again, "lstm", 0)["curve"] == whole["curve"]
