"""`neuromorph check` and `neuromorph map` as a user calls them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neuromorph.backends.fast import FastBackend
from neuromorph.cli.app import app
from neuromorph.counts import count
from neuromorph.graph import Graph, load, save
from neuromorph.mapping import load_map
from neuromorph.spikes import save_spikes
from tests.strategies import random_graph, random_inputs

runner = CliRunner()


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, Graph]:
    graph = random_graph(np.random.default_rng(0), precision="integer", max_neurons=60)
    save(tmp_path / "m.h5", graph)
    save_spikes(tmp_path / "x.h5", {graph.inputs[0].name: random_inputs(np.random.default_rng(0), graph, 3, 40)})
    return tmp_path / "m.h5", graph


def small_chip(folder: Path, tiles_of_a_chip: int | None = None) -> Path:
    """A chip with cores for few neurons, and as many tiles in a row (by default those of Loihi 2)."""
    text = (Path(__file__).parent.parent / "hardware_profiles" / "loihi2_estimate.toml").read_text()
    text = text.replace('id = "loihi2_estimate"', 'id = "small"').replace("compartments_per_core = 8192", "compartments_per_core = 8")
    if tiles_of_a_chip:
        for name, value in {"mesh_columns": tiles_of_a_chip, "mesh_rows": 1, "cores_per_chip": 4 * tiles_of_a_chip}.items():
            text = re.sub(rf"(?m)^{name} = \d+", f"{name} = {value}", text)
    (folder / "small.toml").write_text(text)
    return folder / "small.toml"


def test_check(model: tuple[Path, Graph], tmp_path: Path) -> None:
    path, _ = model
    done = runner.invoke(app, ["check", str(path), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["fits"]
    assert report["cores"] == 1
    many = [str(path), "--profile", str(small_chip(tmp_path))]
    table = runner.invoke(app, ["check", *many])
    assert table.exit_code == 0
    assert "split:" in table.stdout
    everything = runner.invoke(app, ["check", *many, "--all"])
    assert len(everything.stdout) > len(table.stdout)


def test_check_of_plastic_synapses(model: tuple[Path, Graph]) -> None:
    path, graph = model
    call = ["check", str(path), "--plastic", graph.projections[0].name, "--json"]
    report = json.loads(runner.invoke(app, call).stdout)
    assert "learning" in {rule["rule"] for rule in report["rules"]}
    assert runner.invoke(app, [*call, "--profile", "truenorth"]).exit_code == 1


def test_check_of_what_does_not_fit(model: tuple[Path, Graph]) -> None:
    path, _ = model
    done = runner.invoke(app, ["check", str(path), "--profile", "loihi1", "--json"])
    assert done.exit_code == 1
    broken = [rule for rule in json.loads(done.stdout)["rules"] if rule["status"] == "broken"]
    assert broken
    assert all(rule["remedy"] for rule in broken)


def map_call(tmp_path: Path, chip: Path, *more: str) -> list[str]:
    return ["map", str(tmp_path / "m.h5"), str(tmp_path / "x.h5"), "--profile", str(chip), "-o", str(tmp_path / "map.json"), *more]


def test_map(model: tuple[Path, Graph], tmp_path: Path) -> None:
    path, graph = model
    picture = tmp_path / "cores.png"
    call = map_call(tmp_path, small_chip(tmp_path), "--plot", str(picture), "--json")
    done = runner.invoke(app, call)
    assert done.exit_code == 0, done.output
    found = load_map(tmp_path / "map.json", load(path))
    assert len(json.loads(done.stdout)["cores"]) == found.partition.n_cores > 3
    assert sum(int(np.diff(found.partition.bounds[p.name]).sum()) for p in graph.neurons) == graph.n_neurons
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert runner.invoke(app, call).stdout == done.stdout
    assert "messages x hops" in runner.invoke(app, call[:-1]).stdout


def test_what_cores_do_and_cost(model: tuple[Path, Graph], tmp_path: Path) -> None:
    """Everything that the tables show is in the JSON; its cores add up to what a run of the graph does."""
    _, graph = model
    inputs = random_inputs(np.random.default_rng(0), graph, 3, 40)
    mean = count(graph, inputs, FastBackend().run(graph, inputs)).per_inference()
    told = json.loads(runner.invoke(app, map_call(tmp_path, small_chip(tmp_path, tiles_of_a_chip=1), "--json")).stdout)
    done = [core["inference"] for core in told["cores"]]
    assert sum(each["synops"] for each in done) == pytest.approx(sum(mean["synops"].values()))
    assert sum(each["messages_in"] for each in done) == pytest.approx(told["load"]["messages"])
    energy = told["energy"]["outside"]["nominal"] + sum(each["energy"]["nominal"] for each in done)
    assert energy == pytest.approx(told["energy"]["total"]["nominal"])
    assert told["mesh"]["chips"] > 1
    assert told["load"]["between_chips"] > 0
    assert told["latency"]["total"]["nominal"] > 0
    assert (told["energy"]["n_samples"], told["latency"]["n_samples"]) == (3, 3)
    assert json.loads((tmp_path / "map.json").read_text())["load"] == told["load"]
    wide = {"COLUMNS": "400"}
    shown = runner.invoke(app, map_call(tmp_path, tmp_path / "small.toml", "--all"), env=wide).stdout
    assert f"borders between chips: {told['load']['between_chips']:,.0f}, of {told['load']['messages']:,.0f} messages" in shown
    for core in told["cores"]:
        (row,) = [
            line
            for line in shown.splitlines()
            if re.match(rf"│ +{core['core']} │ +{core['chip']} │ {core['column']}, {core['row']} ", line)
        ]
        numbers = [f"{x:.4g}" for x in (100 * core["fullest"], core["inference"]["synops"], 1e9 * core["inference"]["energy"]["nominal"])]
        assert [cell.strip() for cell in row.split("│")[5:8]] == numbers


def test_a_map_without_spikes_tells_nothing_of_a_run(model: tuple[Path, Graph], tmp_path: Path) -> None:
    call = map_call(tmp_path, small_chip(tmp_path, tiles_of_a_chip=1))
    del call[2]
    told = json.loads(runner.invoke(app, [*call, "--json"]).stdout)
    assert (told["load"], told["energy"], told["latency"]) == (None, None, None)
    assert all("inference" not in core for core in told["cores"])
    assert "load" not in json.loads((tmp_path / "map.json").read_text())
    shown = runner.invoke(app, call, env={"COLUMNS": "400"}).stdout
    assert "energy" not in shown
    assert "between chips" not in shown


def test_what_the_profile_lacks_is_told(model: tuple[Path, Graph], tmp_path: Path) -> None:
    chip = small_chip(tmp_path)
    lines = [line for line in chip.read_text().splitlines() if not line.startswith("neuron_update_active")]
    chip.write_text("\n".join(lines))
    told = json.loads(runner.invoke(app, map_call(tmp_path, chip, "--json")).stdout)
    assert (told["energy"], told["latency"]) == (None, None)
    assert ["energy.neuron_update_active" in told["refused"][0], "time.neuron_update_active" in told["refused"][1]] == [True, True]
    assert told["cores"][0]["inference"]["synops"] > 0
    shown = runner.invoke(app, map_call(tmp_path, chip), env={"COLUMNS": "400"}).stdout
    assert shown.count("not told:") == 2
    assert "energy nJ" not in shown


def test_energy_of_the_mapped_graph(model: tuple[Path, Graph], tmp_path: Path) -> None:
    path, _ = model
    call = ["energy", str(path), str(tmp_path / "x.h5"), "--profile", str(small_chip(tmp_path)), "--json"]
    plain, mapped = (json.loads(runner.invoke(app, each).stdout)["energy"][0] for each in (call, [*call, "--map"]))
    assert mapped["scopes"]["dynamic"]["nominal"] > plain["scopes"]["dynamic"]["nominal"]
    assert "energy.hop_ew" in {term["quantity"] for term in mapped["terms"]}
