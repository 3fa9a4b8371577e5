"""The smoke size of the maze: every condition, results kept, a stopped run goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import maze as experiment
from neuromorph.train import resumable


def test_every_condition_once(tmp_path: Path) -> None:
    args = experiment.smoke(tmp_path)
    runs = experiment.main(args)
    assert {run["condition"] for run in runs} == set(args.conditions)
    assert all(0 <= run["value"] <= args.task.steps for run in runs)
    assert args.out.with_suffix(".png").exists()
    assert experiment.main(args) == runs, "a second call finds everything done"


def test_networks_have_about_as_many_parameters() -> None:
    made = {c: experiment.parameters(experiment.network(experiment.Args(), c, torch.Generator().manual_seed(0))) for c in experiment.RULES}
    assert max(made.values()) < 1.03 * min(made.values()), made


def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = replace(experiment.smoke(tmp_path), conditions=("simple",))
    whole = experiment.one(args, "simple", 0)
    again, saves = replace(args, runs=tmp_path / "again"), []

    def dying(folder: Path, state: dict) -> None:
        if saves:
            raise KeyboardInterrupt
        saves.append(save(folder, state))

    save = resumable.save_state
    monkeypatch.setattr(resumable, "save_state", dying)
    with pytest.raises(KeyboardInterrupt):
        experiment.one(again, "simple", 0)
    monkeypatch.undo()
    found = experiment.one(again, "simple", 0)
    assert (found["value"], found["curve"]) == (whole["value"], whole["curve"])
