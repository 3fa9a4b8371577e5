"""`neuromorph check` and `neuromorph map` as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neuromorph.cli.app import app
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


def small_chip(folder: Path) -> Path:
    """A chip with cores for few neurons."""
    text = (Path(__file__).parent.parent / "hardware_profiles" / "loihi2_estimate.toml").read_text()
    text = text.replace('id = "loihi2_estimate"', 'id = "small"').replace("compartments_per_core = 8192", "compartments_per_core = 8")
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


def test_check_of_what_does_not_fit(model: tuple[Path, Graph]) -> None:
    path, _ = model
    done = runner.invoke(app, ["check", str(path), "--profile", "loihi1", "--json"])
    assert done.exit_code == 1
    broken = [rule for rule in json.loads(done.stdout)["rules"] if rule["status"] == "broken"]
    assert broken
    assert all(rule["remedy"] for rule in broken)


def test_map(model: tuple[Path, Graph], tmp_path: Path) -> None:
    path, graph = model
    chip, out, picture = small_chip(tmp_path), tmp_path / "map.json", tmp_path / "cores.png"
    call = ["map", str(path), str(tmp_path / "x.h5"), "--profile", str(chip), "-o", str(out), "--plot", str(picture), "--json"]
    done = runner.invoke(app, call)
    assert done.exit_code == 0, done.output
    found = load_map(out, load(path))
    assert len(json.loads(done.stdout)["cores"]) == found.partition.n_cores > 3
    assert sum(int(np.diff(found.partition.bounds[p.name]).sum()) for p in graph.neurons) == graph.n_neurons
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert runner.invoke(app, call).stdout == done.stdout
    assert "messages x hops" in runner.invoke(app, call[:-1]).stdout


def test_energy_of_the_mapped_graph(model: tuple[Path, Graph], tmp_path: Path) -> None:
    path, _ = model
    call = ["energy", str(path), str(tmp_path / "x.h5"), "--profile", str(small_chip(tmp_path)), "--json"]
    plain, mapped = (json.loads(runner.invoke(app, each).stdout)["energy"][0] for each in (call, [*call, "--map"]))
    assert mapped["scopes"]["dynamic"]["nominal"] > plain["scopes"]["dynamic"]["nominal"]
    assert "energy.hop_ew" in {term["quantity"] for term in mapped["terms"]}
