"""The plastic demo through the command line: what it leaves, what it prints, when it fails; closed loops held against each other."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neuromorph import demo_plastic as module
from neuromorph.backends import backend
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.cli.app import app
from neuromorph.cli.demonstration import plastic_tables
from neuromorph.compare import compare
from neuromorph.counts import count
from neuromorph.demo_plastic import PlasticDemoArgs, alone, held_against, in_lava, trained
from neuromorph.errors import TrainingError
from neuromorph.graph import Graph, load
from neuromorph.hardware import load_profile
from neuromorph.mapping import check
from neuromorph.recording import load_recording
from neuromorph.spikes import load_spikes
from neuromorph.tasks.cue_reward import bayes_ceiling

FILES = ("model.h5", "model.loihi2_estimate.h5", "quantization.json", "history.json", "summary.json", "plastic.html")
runner = CliRunner()


def call(*args: object, code: int = 0) -> str:
    done = runner.invoke(app, [str(a) for a in args])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The shortest demo, without Lava."""
    folder = tmp_path_factory.mktemp("plastic")
    out = call("demo", "--plastic", "-o", folder, "--updates", 2, "--episodes", 6, "--lava-episodes", 0, "--json")
    return folder, json.loads(out)


@pytest.fixture(scope="module")
def integer(walked: tuple[Path, dict[str, Any]]) -> Graph:
    return load(walked[0] / "model.loihi2_estimate.h5")


def test_the_demo_leaves_what_it_prints(walked: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = walked
    assert [name for name in FILES if not (folder / name).is_file()] == []
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["args"] == {
        "out": str(folder),
        "updates": 2,
        "seed": 0,
        "profile": "loihi2",
        "episodes": 6,
        "lava_episodes": 0,
        "energy_profiles": ["loihi1", "loihi2"],
    }
    assert summary["lava"] == {"skipped": "no episodes in Lava were asked for (--lava-episodes 0)", "agrees": None, "episodes": []}
    assert set(summary["seconds"]) == set(summary["cpu_seconds"])


def test_accuracies_are_of_all_episodes(walked: tuple[Path, dict[str, Any]]) -> None:
    accuracy = walked[1]["accuracy"]
    assert accuracy["ceiling"] == pytest.approx(bayes_ceiling(4, 8))
    assert list(accuracy["curves"]) == list(module.CURVES)
    for curve in accuracy["curves"].values():
        assert len(curve) == 8
        assert [6 * x for x in curve] == pytest.approx([round(6 * x) for x in curve])
    assert accuracy["curves"]["integers"][0] == accuracy["curves"]["integers, third factor off"][0], "nothing is learned before a reward"


def test_the_check_has_the_rules_of_learning(walked: tuple[Path, dict[str, Any]], integer: Graph) -> None:
    assert walked[1]["check"] == json.loads(json.dumps(check(integer, load_profile("loihi2")).to_dict()))
    assert {"learning", "third factors"} <= {rule["rule"] for rule in walked[1]["check"]["rules"]}


def test_the_episode_is_that_of_its_files(walked: tuple[Path, dict[str, Any]], integer: Graph) -> None:
    folder, summary = walked
    inputs, recording = load_spikes(folder / "episode_inputs.h5"), load_recording(folder / "episode.h5")
    with np.load(folder / "episode_third.npz") as found:
        third = dict(found)
    again = ReferenceBackend().run(integer, inputs, states=[summary["episode"]["projection"]], third_factors=third)
    assert again.spikes == recording.spikes
    for x in ("H", "E"):
        assert np.array_equal(again.states["hidden->hidden"][x], recording.states["hidden->hidden"][x])
    assert np.abs(recording.states["hidden->hidden"]["H"][-1]).max() > 0
    assert summary["episode"]["same_again"]
    trials, (signal,) = summary["episode"]["trials"], third.values()
    for trial in trials:
        assert trial["holds_target"] == (summary["episode"]["target"] in trial["cues"])
        assert trial["right"] == (trial["answer"] == trial["holds_target"])
        assert trial["answer"] == (trial["logit"] > 0)
        assert recording.readouts["readout"][trial["go_step"] + 3, 0, 0] == trial["logit"]
        said = 1 if trial["answer"] else -1
        assert np.sign(signal[trial["reward_step"] + 3, 0]) == said * (1 if trial["right"] else -1)
    assert np.count_nonzero(signal) == len(trials) == 8


def test_learning_has_its_own_line_of_energy(walked: tuple[Path, dict[str, Any]], integer: Graph) -> None:
    for e in walked[1]["energy"]:
        (term,) = [t for t in e["terms"] if t["quantity"] == "energy.synapse_learn_update"]
        synapses = np.count_nonzero(integer.projection("hidden->hidden").used)
        assert term["count"] == 2 * 128 * synapses
        assert term["nominal"] == pytest.approx(term["count"] * 120e-12)
    assert [e["what_if"] for e in walked[1]["energy"]] == [True, False]


def test_counts_are_those_of_the_learning_integers(walked: tuple[Path, dict[str, Any]], integer: Graph) -> None:
    kept: list[module.Lived] = []
    module.greedy(6, lambda n: module._deployed(integer, "reference", n, True, kept))
    (lived,) = kept
    assert count(integer, lived.inputs, lived.recording).to_dict() == walked[1]["counts"]


def test_a_report_anew_prints_the_same(walked: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = walked
    page = (folder / "plastic.html").read_text()
    printed = call("report", folder)
    assert (folder / "plastic.html").read_text() == page
    assert not (folder / "report.html").exists()
    for curve in summary["accuracy"]["curves"].values():
        assert f"{100 * curve[-1]:.1f}" in printed
    assert "Lava did not run: no episodes in Lava were asked for" in printed


def test_a_finished_training_is_not_repeated_nor_mixed(walked: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    args = PlasticDemoArgs(walked[0], updates=2)
    before = (walked[0] / "training" / "state.safetensors").read_bytes()
    _, history = trained(args, module.nullcontext)
    assert history[-1]["update"] == 2
    assert (walked[0] / "training" / "state.safetensors").read_bytes() == before
    with pytest.raises(TrainingError, match="other arguments than --seed 1"):
        trained(replace(args, seed=1), module.nullcontext)
    with pytest.raises(TrainingError, match="holds 2 updates, 1 are asked for"):
        trained(replace(args, updates=1), module.nullcontext)


def test_a_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, parts = (PlasticDemoArgs(tmp_path / name, updates=2) for name in ("whole", "parts"))
    trained(replace(parts, updates=1), module.nullcontext)
    (a, _), (b, _) = trained(whole, module.nullcontext), trained(parts, module.nullcontext)
    assert all(np.array_equal(x.detach().numpy(), y.detach().numpy()) for x, y in zip(a.parameters(), b.parameters()))


@pytest.mark.parametrize(
    "options", [("--plastic", "--epochs", 3), ("--plastic", "--lava-samples", 3), ("--updates", 3), ("--lava-episodes", 1)]
)
def test_options_of_the_other_demo_are_refused(options: tuple, tmp_path: Path) -> None:
    done = runner.invoke(app, ["demo", "-o", str(tmp_path / "x"), *map(str, options)])
    assert done.exit_code == 2
    assert "is not for the demo" in done.output
    assert not (tmp_path / "x").exists()


def test_a_loop_that_differs_is_told_with_its_place(integer: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = alone(integer, "reference", 1)
    row = held_against(0, found, found)
    assert row["first"] is None
    assert all(kind["differing"] == 0 for kind in row["kinds"].values())
    assert row["kinds"]["H"]["compared"] == row["kinds"]["E"]["compared"] == 128 * 4096
    assert row["kinds"]["spikes"]["compared"] == 128 * 64
    changed = np.array(found.lived.recording.states["hidden->hidden"]["E"])
    changed[60, 0, 7] += 3
    states = {"hidden->hidden": {**found.lived.recording.states["hidden->hidden"], "E": changed}}
    other = replace(found, lived=replace(found.lived, recording=replace(found.lived.recording, states=states)))
    row = held_against(0, other, found)
    assert row["kinds"]["E"] == {"compared": 128 * 4096, "differing": 1}
    assert row["first"].startswith("step 60, E of hidden->hidden[7]: ")
    monkeypatch.setattr(module, "alone", lambda graph, name, episodes: [other])
    monkeypatch.setattr(type(backend("lava")), "available", lambda self: None)
    assert in_lava(integer, [found], 1)["agrees"] is False


def test_a_difference_ends_with_exit_code_1(walked: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"episode": 0, "answers": 8, "right": 3, "spikes": 5, "kinds": {"H": {"compared": 9, "differing": 2}}, "first": "step 4 [x]"}
    lava = {"skipped": None, "agrees": False, "episodes": [row]}
    monkeypatch.setattr(module, "in_lava", lambda *_: lava)
    shutil.copytree(walked[0] / "training", tmp_path / "training")
    printed = call("demo", "--plastic", "-o", tmp_path, "--updates", 2, "--episodes", 2, code=1)
    assert "step 4 [x]" in " ".join(printed.split())
    assert "Lava and the reference differ" in (tmp_path / "plastic.html").read_text()
    assert plastic_tables(walked[1] | {"lava": lava})


def test_lava_that_is_not_there_is_skipped_with_a_reason(integer: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(backend("lava")), "available", lambda self: "it is not installed")
    assert in_lava(integer, [], 4) == {"skipped": "it is not installed", "agrees": None, "episodes": []}


@pytest.mark.skipif(backend("lava").available() is not None, reason="Lava is not installed")
def test_an_episode_in_lava_is_the_reference_s(integer: Graph) -> None:
    (x,), (y,) = alone(integer, "lava", 1), alone(integer, "reference", 1)
    told = held_against(0, x, y)
    assert told["first"] is None
    assert told["kinds"]["answers"] == {"compared": 8, "differing": 0}
    assert compare(integer, x.lived.recording, y.lived.recording).identical
    assert np.abs(y.lived.recording.states["hidden->hidden"]["H"][-1]).max() > 0
