"""The maze experiment at its smallest: every condition runs, sizes match, results are kept, killed runs go on with the same result."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import maze
from neuromorph.train import resumable


def stripped(run: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on when and where."""
    return {name: value for name, value in run.items() if name not in ("cpu_s", "machine")}


def test_smoke(tmp_path: Path) -> None:
    args = maze.smoke(tmp_path)
    runs = maze.main(args)
    told = json.loads(args.out.read_text())
    assert [run["condition"] for run in runs] == list(told["summary"]) == list(maze.CONDITIONS)
    assert all(run["updates"] == [2, 4] and len(run["rewards"]) == 2 for run in runs)
    assert [("plasticity_off" in run) for run in runs] == [False, True, True, True]
    assert told["about"]["conditions"]["simple"]["paper"] == "more than plain, p < 0.05 (no number)"
    before = args.out.read_bytes()
    assert maze.main(args) == runs, "a second call finds everything done"
    assert args.out.read_bytes() == before
    assert args.out.with_suffix(".png").stat().st_size > 10_000


@pytest.mark.parametrize("args", [maze.Args(), maze.PAPERS])
def test_parameters_match(args: maze.Args) -> None:
    """From the definition: 15 inputs, n biases, w; alpha; eta; modulator n + 1; policy and value 5 n + 5."""
    extra = {"none": lambda n: 0, "plain": lambda n: n * n + 1, "simple": lambda n: n * n + n + 1, "retroactive": lambda n: n * n + n + 2}
    counts = []
    for condition in maze.CONDITIONS:
        model = maze.made(args, condition, 0)
        n = model.core.n
        counts.append(maze.parameters(model))
        assert counts[-1] == 15 * n + n + n * n + extra[condition](n) + 5 * n + 5
    assert min(counts) == counts[2], "no network is smaller than the modulated one"
    assert max(counts) < 1.04 * min(counts)


def test_a_killed_run_goes_on_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead right after its second save; all that is lost is done again."""
    whole = replace(maze.smoke(tmp_path / "whole"), conditions=("retroactive",))
    killed = replace(maze.smoke(tmp_path / "killed"), conditions=("retroactive",))
    save, saved = resumable.save_state, []

    def dying(folder: Path, state: Any) -> None:
        save(folder, state)
        saved.append(state["update"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(resumable, "save_state", dying)
    with pytest.raises(KeyboardInterrupt):
        maze.main(killed)
    monkeypatch.undo()
    assert saved == [1, 2]
    assert not killed.out.exists()
    assert [stripped(run) for run in maze.main(killed)] == [stripped(run) for run in maze.main(whole)]


def test_a_network_that_does_nothing_finds_what_chance_does() -> None:
    """Policy weights at zero: actions are uniform."""
    args = replace(maze.Args(), n=3, task=replace(maze.Args().task, side=5, steps=30), batch=100, episodes=3000)
    model = maze.made(args, "simple", 0)
    model.weights.data.zero_()
    assert maze.found(model, args) == pytest.approx(maze.rewards_of_chance(args.task), abs=4 * 1.5 / np.sqrt(3000))
