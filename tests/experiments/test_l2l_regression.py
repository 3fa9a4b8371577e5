"""The smoke size of learning to learn: results kept, a killed run goes on; baselines against solutions by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from benchmarks import l2l_regression as experiment
from neuromorph.graph import load
from neuromorph.tasks.regression_baselines import backprop_errors, ridge_errors
from neuromorph.tasks.teachers import FAMILIES, Examples
from neuromorph.train import resumable


def test_every_condition_once(tmp_path: Path) -> None:
    args = experiment.smoke(tmp_path)
    runs = experiment.main(args)
    assert {run["condition"] for run in runs} == set(args.conditions)
    assert all(len(run["curve"]) == 12 and run["value"] == pytest.approx(np.mean(run["curve"][-10:]), abs=1e-4) for run in runs)
    assert load(args.models / "l2l_regression_sinusoids.h5").n_neurons == 11
    assert experiment.main(args) == runs, "a second call finds everything done"


def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = experiment.smoke(tmp_path)
    args = replace(small, training=replace(small.training, updates=4, save_every=1))
    whole = experiment.one(args, "lif", 0)
    again, saves, save = replace(args, runs=tmp_path / "again"), [], resumable.save_state

    def dying(folder: Path, state: dict) -> None:
        if len(saves) == 2:
            raise KeyboardInterrupt
        saves.append(save(folder, state))

    with monkeypatch.context() as patched:
        patched.setattr(resumable, "save_state", dying)
        with pytest.raises(KeyboardInterrupt):
            experiment.one(again, "lif", 0)
    assert experiment.one(again, "lif", 0)["curve"] == whole["curve"]


def test_ridge_is_the_normal_equations_on_what_was_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 2, 3, generator=generator), torch.randn(7, 2, generator=generator)
    found = ridge_errors(x, y, 0.3)
    for k in range(7):
        errors = []
        for b in range(2):
            A = np.c_[x[:k, b].double().numpy(), np.ones(k)]
            w = np.linalg.solve(A.T @ A + 0.3 * np.eye(4), A.T @ y[:k, b].double().numpy())
            errors.append((np.r_[x[k, b].double().numpy(), 1] @ w - float(y[k, b])) ** 2)
        assert float(found[k]) == pytest.approx(np.mean(errors), rel=1e-6)


def test_backprop_learns_what_does_not_change() -> None:
    """A constant function, many examples: the error falls to nothing; episodes do not share weights."""
    shown = Examples(torch.rand(400, 2, 1), torch.tensor([[1.0, -1.0]]).expand(400, 2))
    errors = backprop_errors(shown, 5, 3e-2, torch.Generator().manual_seed(0))
    assert float(errors[0]) > 0.5
    assert float(errors[-10:].mean()) < 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_families_have_the_deviation_that_they_tell(name: str) -> None:
    family = FAMILIES[name]
    shown = family.draw(3000, 10, torch.Generator().manual_seed(1))
    assert float(shown.y.std()) == pytest.approx(family.deviation, rel=0.1)
    assert float(shown.x.abs().max()) <= family.x_most
    assert float((shown.y.abs() > family.y_most).float().mean()) < 0.01


def test_input_spikes_tell_x_and_the_value_before() -> None:
    """The tuning curve of the most active neurons lies at the number; none for the value before the first."""
    args = experiment.Args()
    family, e = FAMILIES["sinusoids"], replace(args.episode, steps=400, examples=3)
    shown = family.draw(2, 3, torch.Generator().manual_seed(2))
    spikes = e.spikes(family, shown, torch.Generator().manual_seed(3)).view(3, 400, 2, 2, e.neurons).float().sum(1)
    centres = torch.linspace(-1, 1, e.neurons)
    assert not spikes[0, :, 1].any()
    for k in range(3):
        for b in range(2):
            x = (spikes[k, b, 0] * centres).sum() / spikes[k, b, 0].sum() * family.x_most
            assert float(x) == pytest.approx(float(shown.x[k, b, 0]), abs=0.35)
            if k:
                y = (spikes[k, b, 1] * centres).sum() / spikes[k, b, 1].sum() * family.y_most
                assert float(y) == pytest.approx(float(shown.y[k - 1, b]), abs=0.35)


def test_traces_are_filtered_spikes() -> None:
    """Against scipy's filter; as many values as the linear readout is fitted to."""
    args = experiment.smoke(Path())
    student = experiment.Student(FAMILIES["sinusoids"], args.episode, args.network, seed=0)
    features, y = student.traces(3, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    shown = student.family.draw(3, 12, generator)
    with torch.no_grad():
        _, z = student.model(args.episode.spikes(student.family, shown, generator))
    assert z.any()
    wanted = lfilter([1.0], [1.0, -np.exp(-args.episode.dt / 20e-3)], z.numpy(), axis=0).reshape(12, 3, 3, 10).mean(1)
    assert np.allclose(features.numpy(), wanted, atol=1e-5)
    assert torch.equal(y, shown.y)
