"""The language models' experiment at its smallest: every condition, both models, results kept, killed runs go on with the same result."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import language_model as experiment
from neuromorph.errors import TrainingError
from neuromorph.tasks.language_model_network import parameters
from neuromorph.train import resumable
from tests.data.files import need_austen


def stripped(run: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on when and where."""
    return {name: value for name, value in run.items() if name not in ("cpu_s", "machine")}


def tiny_large(folder: Path) -> experiment.Args:
    """The large model's options at a tiny width: tied, dropout, penalties, windows that vary, mean of weights."""
    training = replace(experiment.LARGE.training, epochs=3, window=20, batch=4, average_after=1, lr=2.0)
    args = replace(experiment.LARGE, seeds=(0,), n=9, network=replace(experiment.LARGE.network, embedding=8, layers=(9, 9, 8)))
    return replace(args, training=training, corpus=experiment.MARKOV, vocabulary=12, runs=folder / "runs", out=folder / "large.json")


def test_smoke(tmp_path: Path) -> None:
    args = experiment.smoke(tmp_path)
    runs = experiment.main(args)
    told = json.loads(args.out.read_text())
    assert [run["condition"] for run in runs] == list(told["summary"]) == list(experiment.CONDITIONS)
    assert all(run["epochs"] == [1, 2] and len(run["valid"]) == 2 and 1 < run["value"] < 100 for run in runs)
    before = args.out.read_bytes()
    assert experiment.main(args) == runs, "a second call finds everything done"
    assert args.out.read_bytes() == before
    assert args.out.with_suffix(".png").stat().st_size > 10_000


def test_the_large_model_starts_and_trains(tmp_path: Path) -> None:
    args = tiny_large(tmp_path)
    runs = experiment.main(args)
    assert [run["condition"] for run in runs] == ["lstm", "simple"]
    assert all(run["epochs"] == [1, 2, 3] and run["train"][-1] < run["train"][0] for run in runs)
    assert json.loads(args.out.read_text())["about"]["conditions"]["simple"]["paper"].startswith("61.44")
    with pytest.raises(TrainingError, match="No rule for plain; this model has lstm, simple"):
        experiment.main(replace(args, conditions=("plain",)))


@pytest.mark.parametrize("args", [experiment.Args(), experiment.PAPER])
def test_parameters_match(args: experiment.Args) -> None:
    words = args.vocabulary
    counts = {c: parameters(experiment.made(args, c, 0, words)) for c in experiment.CONDITIONS}
    assert min(counts.values()) == counts["plain"]
    assert max(counts.values()) < 1.015 * min(counts.values())
    if args is experiment.PAPER:
        assert (counts["plain"], counts["simple"]) == (4_811_600, 4_812_002), "as published"


def test_sizes_of_the_large_model() -> None:
    for rule in experiment.LARGE_RULES.values():
        sized = experiment.sized(experiment.LARGE.network, rule, 1150)
        assert (sized.layers, sized.embedding, sized.tied, sized.plasticity) == ((1150, 1150, 400), 400, True, rule)


def test_a_killed_run_goes_on_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed = (replace(experiment.smoke(tmp_path / name), conditions=("retroactive",)) for name in ("whole", "killed"))
    save, saved = resumable.save_state, []

    def dying(folder: Path, state: Any) -> None:
        save(folder, state)
        saved.append(state["update"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(resumable, "save_state", dying)
    with pytest.raises(KeyboardInterrupt):
        experiment.main(killed)
    monkeypatch.undo()
    assert not killed.out.exists()
    assert [stripped(run) for run in experiment.main(killed)] == [stripped(run) for run in experiment.main(whole)]


def test_texts(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        (tmp_path / f"ptb.{name}.txt").write_text(" a b \n" * 40)
    with pytest.warns(UserWarning, match="not the usual"):
        treebank = experiment.read(replace(experiment.Args(), corpus=str(tmp_path)))
    assert (treebank.name, len(treebank), len(treebank.train)) == ("penn treebank", 4, 120)
    need_austen()
    assert len(experiment.read(experiment.Args())) == 5000
