"""The command line: each command on real files, its JSON, its exit codes, its errors in a sentence."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neuromorph.backends.brian2 import Brian2Backend
from neuromorph.cli.app import app
from neuromorph.graph import load, save
from neuromorph.recording import load_recording
from neuromorph.spikes import save_spikes
from tests.strategies import random_graph, random_inputs

COMMANDS = [
    "demo",
    "train",
    "export",
    "inspect",
    "check",
    "quantize",
    "map",
    "run",
    "validate",
    "energy",
    "report",
    "profiles",
    "data",
    "lava",
    "doctor",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.h5 (integers), float.h5, inputs.h5 with labels."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(3)
    graph = random_graph(rng, precision="integer", max_neurons=8)
    save(folder / "model.h5", graph)
    while True:
        floats = random_graph(rng, max_neurons=8, resets=("subtract",), adaptations=("threshold",) * 5, synaptic_current=False)
        if any(type(p).__name__ == "ALIF" for p in floats.populations):
            break
    from neuromorph.graph import LIF
    from neuromorph.graph.populations import replace

    zero = tuple(replace(p, v_reset=np.zeros(p.n)) if isinstance(p, LIF) else p for p in floats.populations)
    save(folder / "float.h5", floats.replace(populations=zero))
    for name, g in (("model", graph), ("float", floats)):
        save_spikes(folder / f"{name}.inputs.h5", {"in": random_inputs(rng, g, 3, 40)}, np.array([0, 1, 0]))
    return folder


def call(*args: object, code: int = 0) -> str:
    """Run a command in this process; returns standard output."""
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def program(*args: object) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    return subprocess.run([sys.executable, "-m", "neuromorph", *map(str, args)], capture_output=True, text=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command: str) -> None:
    text = call(command, "--help")
    assert len(text) > 300
    assert "--json" in text or command in ("profiles", "data", "lava")


def test_inspect(files: Path) -> None:
    data = json.loads(call("inspect", files / "model.h5", "--json"))
    graph = load(files / "model.h5")
    assert (data["neurons"], data["synapses"], data["digest"]) == (graph.n_neurons, graph.n_synapses, graph.digest())
    assert [p["name"] for p in data["populations"]] == [p.name for p in graph.populations]
    assert sum(p["synapses"] for p in data["projections"]) == graph.n_synapses
    assert "integer graph" in call("inspect", files / "model.h5")


def test_quantize_writes_the_integer_graph(files: Path) -> None:
    data = json.loads(call("quantize", files / "float.h5", "--profile", "loihi2", "--json"))
    assert Path(data["file"]).name == "float.loihi2_estimate.h5"
    assert load(data["file"]).precision == "integer"


def test_run_and_its_recording(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "recording.h5"
    data = json.loads(call("run", files / "model.h5", files / "model.inputs.h5", "-o", out, "--samples", 2, "--json"))
    recording = load_recording(out)
    assert data["samples"] == recording.n_samples == 2
    assert data["spikes"] == {name: len(s) for name, s in recording.spikes.items()}
    assert data["accuracy"] in (0.0, 0.5, 1.0)


def test_validate_agrees(files: Path) -> None:
    """One backend is held against the reference, in floats and in integers, and these against each other."""
    data = json.loads(call("validate", files / "float.h5", files / "float.inputs.h5", "--backend", "brian2", "--json"))
    found = {(c["against"], c["against_precision"], c["backend"], c["precision"]): c["verdict"] for c in data["comparisons"]}
    for precision in ("float64", "integer"):
        assert found.pop(("reference", precision, "brian2", precision)) == "identical"
    assert list(found) == [("reference", "float64", "reference", "integer")]
    assert data["agrees"] is True


def test_validate_exits_with_1_on_a_difference(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator that drops one synapse."""
    honest = Brian2Backend.run

    def lossy(self, graph, inputs, **options):
        from dataclasses import replace

        first = next(p for p in graph.projections if p.source == graph.inputs[0].name)
        weights = first.weights.copy()
        weights[np.flatnonzero(weights)[0]] = 0
        changed = tuple(replace(p, weights=weights) if p.name == first.name else p for p in graph.projections)
        return honest(self, graph.replace(projections=changed), inputs, **options)

    monkeypatch.setattr(Brian2Backend, "run", lossy)
    page = tmp_path / "page.html"
    args = ("--backend", "reference", "--backend", "fast", "--backend", "brian2", "--precision", "float", "--report", page)
    data = json.loads(call("validate", files / "float.h5", files / "float.inputs.h5", *args, "--json", code=1))
    verdicts = {(c["against"], c["backend"]): c["verdict"] for c in data["comparisons"]}
    assert verdicts == {("reference", "fast"): "identical", ("reference", "brian2"): "DIFFERENT", ("fast", "brian2"): "DIFFERENT"}
    first = data["comparisons"][1]["first"]
    assert {"sample", "step", "population", "neuron", "variable", "a", "b"} <= first.keys()
    assert page.read_text().count("<svg") == 4  # spikes and trace around the first difference of two pairs
    assert f"step {first['step']}, " in call("validate", files / "float.h5", files / "float.inputs.h5", *args[:-2], code=1)


def test_energy(files: Path) -> None:
    args = ("energy", files / "model.h5", files / "model.inputs.h5", "--profile", "loihi2", "--what-if")
    data = json.loads(call(*args, "--json"))
    (report,) = data["energy"]
    assert 0 < report["total"]["lo"] <= report["total"]["nominal"] <= report["total"]["hi"]
    assert "estimate, not a measurement" in call(*args)


def test_energy_on_a_map_beside_other_machines(files: Path) -> None:
    graph = load(files / "model.h5")
    name = graph.projections[0].name
    args = ("energy", files / "model.h5", files / "model.inputs.h5", "--profile", "loihi2", "--what-if")
    more = (*args, "--map", "--step-us", "0", "--plastic", name, "--epoch", "2", "--lstm", "8,1")
    data = json.loads(call(*more, "--json"))
    (report,) = data["energy"]
    assert report["seconds"] == report["latency"]["wall"] == pytest.approx(report["latency"]["total"])
    assert "energy.synapse_learn_update" in {t["quantity"] for t in report["terms"]}
    assert len({c["network"] for c in data["comparators"]}) == 3
    assert len(data["break_even"]) == len(data["comparators"])
    shown = call(*more)
    assert "costs less" in shown
    assert "time the chip needs" in shown
    assert "costs less" not in call(*args, "--step-us", "500")
    for wrong, told in (
        ("--step-us 0", "add --map"),
        ("--lstm many", "UNITS,INPUTS"),
        ("--lstm 0", "1 or more"),
        ("--plastic x", "no projection"),
    ):
        refused = program(*args, *wrong.split())
        assert refused.returncode == 2
        assert told in refused.stderr


def test_profiles(files: Path, tmp_path: Path) -> None:
    assert "loihi1" in call("profiles", "list")
    assert json.loads(call("profiles", "show", "loihi1", "--json"))["id"] == "loihi1"
    assert "davies2018" in call("profiles", "show", "loihi1", "--json")
    assert not any(json.loads(call("profiles", "lint", "--json"))["faults"].values())
    broken = tmp_path / "broken.toml"
    broken.write_text('schema = "neuromorph.hardware_profile/1"\n')
    assert json.loads(call("profiles", "lint", broken, "--json", code=1))["faults"][str(broken)]


TINY = (
    *("--set", "task.train=32", "--set", "task.validation=16", "--set", "task.test=16"),
    *("--set", "network.n_excitatory=6", "--set", "network.n_inhibitory=2", "--set", "network.n_adaptive=4"),
)


def test_train_then_resume_then_export(tmp_path: Path) -> None:
    run = tmp_path / "run"
    data = json.loads(call("train", "-o", run, "--epochs", 2, "--seed", 3, *TINY, "--json"))
    assert (data["checkpoint"], data["best_update"]) == (str(run / "best.safetensors"), 2)
    config = tomllib.loads((run / "config.toml").read_text())
    assert (config["training"]["epochs"], config["training"]["seed"], config["task"]["train"]) == (2, 3, 32)
    again = json.loads(call("train", "--resume", run, "--json"))
    assert {**again, "seconds": 0} == {**data, "seconds": 0}
    graph = json.loads(call("export", run / "best.safetensors", tmp_path / "model.h5", "--json"))
    assert graph["synapses"] == data["active_synapses"]
    assert call("run", tmp_path / "model.h5", run / "test.h5", "--json")


def test_train_refuses_to_write_over_a_run(tmp_path: Path) -> None:
    call("train", "-o", tmp_path, "--epochs", 1, *TINY, "--json")
    before = (tmp_path / "state.safetensors").read_bytes()
    result = CliRunner().invoke(app, ["train", "-o", str(tmp_path)])
    assert f"neuromorph train --resume {tmp_path}" in str(result.exception)
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_resume_stands_alone(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--resume", str(tmp_path), "--epochs", "3"])
    assert "give it alone" in str(result.exception)


def test_doctor_runs_every_simulator() -> None:
    data = json.loads(call("doctor", "--json"))
    assert {c["backend"]: c["agrees"] for c in data["backends"]} == {"brian2": True, "fast": True, "lava": True, "reference": True}
    assert data["versions"]["norse"] == "1.1.0"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("inspect", "nowhere.h5"), "nowhere.h5: no such file"),
        (("inspect", "README.md"), "README.md: / cannot be read"),
        (("profiles", "show", "loihi9"), "loihi9"),
        (("train", "--set", "optimizer.rl=1"), "--set: 'optimizer.rl' is unknown; did you mean 'lr'?"),
        (("train", "nowhere.toml"), "nowhere.toml"),
        (("train", "--resume", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_told_in_a_sentence(args: tuple[str, ...], message: str) -> None:
    done = program(*args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
