"""The arena experiment at its smallest: every condition runs, results are kept, killed runs go on with the same result."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import l2l_arena as experiment
from neuromorph.graph import load
from neuromorph.train import resumable


def stripped(run: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on when and where."""
    return {name: value for name, value in run.items() if name not in ("cpu_s", "machine")}


def test_smoke(tmp_path: Path) -> None:
    args = experiment.smoke(tmp_path)
    runs = experiment.main(args)
    told = json.loads(args.out.read_text())
    assert [run["condition"] for run in runs] == list(told["summary"]) == list(experiment.CONDITIONS)
    for run in runs:
        assert run["value"] == pytest.approx(sum(run["by_step"]), abs=0.01), "a section a step: visits add up"
        assert 1 <= run["first"] <= args.task.steps
    for run in runs[:2]:
        assert run["updates"] == [2, 4]
    for run in runs[:3]:
        way = run["path"]
        assert sum(map(len, way["lines"])) == args.task.steps + len(way["lines"]) - 1, "a point a move, and each new start"
    assert load(args.models / "l2l_arena.h5").n_neurons == 12 + 5
    before = args.out.read_bytes()
    assert experiment.main(args) == runs, "a second call finds everything done"
    assert args.out.read_bytes() == before
    assert args.out.with_suffix(".png").stat().st_size > 10_000


def test_the_script_remembers_and_the_untrained_do_not(tmp_path: Path) -> None:
    args = replace(experiment.smoke(tmp_path), task=experiment.Args().task, tests=300)
    script, untrained = (experiment.one(args, condition, 0) for condition in ("script", "untrained"))
    assert script["later"] < 0.6 * script["first"]
    assert script["by_step"][-1] > 2 * script["by_step"][2]
    assert script["value"] > 2 * untrained["value"]


def test_a_killed_run_goes_on_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead right after its second save; all that is lost is done again."""
    whole, killed = experiment.smoke(tmp_path / "whole"), experiment.smoke(tmp_path / "killed")
    save, saved = resumable.save_state, []

    def dying(folder: Path, state: Any) -> None:
        save(folder, state)
        saved.append(state["update"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(resumable, "save_state", dying)
        with pytest.raises(KeyboardInterrupt):
            experiment.one(killed, "lif", 0)
    assert saved == [1, 2]
    assert stripped(experiment.one(killed, "lif", 0)) == stripped(experiment.one(whole, "lif", 0))
