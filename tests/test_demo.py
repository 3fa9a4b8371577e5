"""The demo's chip: the map and its files, estimates with and without a map, machines compared, and what is printed of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from neuromorph import demo as module
from neuromorph.backends.fast import FastBackend
from neuromorph.cli.demonstration import summary_tables
from neuromorph.cli.output import joules, seconds
from neuromorph.counts import Counts, count
from neuromorph.demo import KEPT, Activity, DemoArgs, check_and_map, demo, energies
from neuromorph.energy import estimate
from neuromorph.energy.break_even import break_even
from neuromorph.energy.comparators import comparators
from neuromorph.energy.latency import latency
from neuromorph.graph import Graph, load
from neuromorph.hardware import load_profile
from neuromorph.mapping import check, load_map, load_of, map_to_chip
from neuromorph.report import write_report
from neuromorph.spikes import Spikes
from neuromorph.tasks import digits
from neuromorph.train.config import TrainConfig
from tests.mapping.test_partition import small
from tests.strategies import random_graph, random_inputs

LOIHI2 = load_profile("loihi2")


@pytest.fixture(scope="module")
def recorded() -> tuple[Graph, dict[str, Spikes], Counts]:
    """More samples than are kept."""
    rng = np.random.default_rng(7)
    graph = random_graph(rng, precision="integer", max_neurons=20)
    inputs = random_inputs(rng, graph, KEPT + 6, 20)
    recording = FastBackend().run(graph, inputs)
    return graph, {"in": inputs, **recording.spikes}, count(graph, inputs, recording)


@pytest.fixture(scope="module")
def activity(recorded: tuple[Graph, dict[str, Spikes], Counts]) -> Activity:
    return Activity.of(recorded[0], recorded[1])


def test_mean_spikes_of_all_samples_and_spikes_of_the_first(recorded: tuple[Graph, dict[str, Spikes], Counts], activity: Activity) -> None:
    for name, spikes in recorded[1].items():
        assert activity.mean[name] == pytest.approx(spikes.to_dense().sum(0).mean(0), rel=1e-12)
        assert np.array_equal(activity.kept[name].to_dense(), spikes.to_dense()[:, :KEPT])
    assert sum(mean.sum() for mean in activity.mean.values()) > 10


def test_the_map_and_the_spikes_that_it_was_made_by(tmp_path: Path, activity: Activity) -> None:
    graph = activity.graph
    told = check_and_map(tmp_path, activity, LOIHI2)
    found, _ = map_to_chip(graph, LOIHI2, activity.mean)
    assert load_map(tmp_path / "map.json", graph).to_dict() == found.to_dict()
    rules = check(graph, LOIHI2)
    assert told["check"] == rules.to_dict() | {"worst": [rule.to_dict() for rule in rules.worst()]}
    assert 0 < len(told["check"]["worst"]) < len(told["check"]["rules"])
    timed = latency(graph, found, activity.kept, LOIHI2, step_seconds=graph.dt)
    assert told["map"] == {"load": vars(load_of(graph, found, activity.mean, LOIHI2)), "latency": timed.to_dict()}
    assert json.loads((tmp_path / "map.json").read_text())["load"] == told["map"]["load"]
    assert told["map_refused"] is None
    written = json.loads((tmp_path / "mean_spikes.json").read_text())
    assert set(written) == set(activity.mean)
    for name, mean in activity.mean.items():
        assert written[name] == pytest.approx(mean.tolist(), rel=1e-6)


def test_a_chip_without_a_mesh_is_checked_and_not_mapped(tmp_path: Path, activity: Activity) -> None:
    told = check_and_map(tmp_path, activity, load_profile("spinnaker2"))
    assert told["check"]["profile"] == "spinnaker2"
    assert told["map"] is None
    assert "mesh_columns" in told["map_refused"]
    assert not (tmp_path / "map.json").exists()


def test_estimates_are_mapped_where_cores_have_a_place(recorded: tuple[Graph, dict[str, Spikes], Counts], activity: Activity) -> None:
    graph, _, counts = recorded
    told = energies(("loihi1", "loihi2", "spinnaker2", "brainscales2"), counts, activity)
    placed = {name: activity.on(load_profile(name)) for name in ("loihi1", "loihi2")}
    reports = {
        name: estimate(counts, graph, load_profile(name), load=each.load, latency=each.latency, what_if=True)
        for name, each in placed.items()
    }
    unmapped = estimate(counts, graph, load_profile("spinnaker2"), what_if=True)
    assert told["energy"] == [reports["loihi1"].to_dict(), reports["loihi2"].to_dict(), unmapped.to_dict()]
    assert told["energy_loads"] == {"loihi1": vars(placed["loihi1"].load), "loihi2_estimate": vars(placed["loihi2"].load)}
    assert list(told["energy_refused"]) == ["brainscales2"]
    assert told["energy_unmapped"] == {}
    machines = comparators(counts, graph)
    assert told["comparators"] == [c.to_dict() for c in machines]
    assert told["break_even"] == [break_even(report, counts, graph, c).to_dict() for report in reports.values() for c in machines]


def test_neurons_that_fit_no_core_are_estimated_without_a_map(
    recorded: tuple[Graph, dict[str, Spikes], Counts], activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, _, counts = recorded
    narrow = small(in_axons=1)
    monkeypatch.setattr(module, "load_profile", lambda name: narrow)
    told = energies(("narrow",), counts, activity)
    assert told["energy"] == [estimate(counts, graph, narrow, what_if=True).to_dict()]
    assert "one neuron alone needs" in told["energy_unmapped"]["loihi1"]
    assert told["energy_loads"] == {}
    assert told["break_even"] == []


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The shortest demo: one epoch on few digits, no simulator but this package's own."""
    folder = tmp_path_factory.mktemp("demo")
    args = DemoArgs(out=folder, config=TrainConfig.of(training={"epochs": 1}), samples={"fast": 1})
    data = digits.load()
    few = replace(data, train=data.train.head(64), validation=data.validation.head(20), test=data.test.head(KEPT + 6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "load", lambda: few)
        return folder, demo(args, say=lambda text: None, progress=False)


def test_the_demo_leaves_what_it_says(walked: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = walked
    names = [
        "best.safetensors",
        "history.jsonl",
        "initial.h5",
        "model.h5",
        "model.loihi2_estimate.h5",
        "test.h5",
        "map.json",
        "mean_spikes.json",
    ]
    assert [name for name in names if not (folder / name).is_file()] == []
    written = json.loads((folder / "summary.json").read_text())
    assert set(written) == set(summary)
    assert written["check"]["fits"]
    assert load_map(folder / "map.json", load(folder / "model.loihi2_estimate.h5")).partition.n_cores == written["map"]["load"]["cores"]
    assert list(written["energy_loads"]) == ["loihi1", "loihi1_sanafe", "loihi2_estimate"]
    assert written["seconds"]["check and map"] + written["seconds"]["count and estimate"] < 20
    page = write_report(folder).read_text()
    assert "The network fits loihi2_estimate" in page
    assert "not shown" not in page.split('id="chip"')[1].split('id="learning"')[0]


def printed(summary: dict[str, Any]) -> str:
    """What the terminal shows, 80 columns wide."""
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for item in summary_tables(summary):
        console.print(item)
    return console.export_text()


def test_energies_are_told_in_eighty_columns(walked: tuple[Path, dict[str, Any]]) -> None:
    summary = json.loads((walked[0] / "summary.json").read_text())
    text = printed(summary)
    assert max(map(len, text.splitlines())) <= 80
    part = text[text.index("Energy per inference") :]
    assert len(summary["energy"]) == 6
    for e in summary["energy"]:
        (line,) = [line for line in part.splitlines() if line.startswith("│") and line.split()[1] == e["profile"]]
        timed = e["latency"]
        ends = [joules(e["total"][end]) for end in ("lo", "nominal", "hi")] + [joules(e["scopes"]["dynamic"]["nominal"])]
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        assert cells[1:] == [*ends, seconds(timed["total"]["nominal"]) if timed else "unknown"]
        assert cells[0].endswith(" *") == e["what_if"]
    words = " ".join(part.split())
    for scope, name in (("static", "static"), ("embedded_cpu", "embedded CPU")):
        lacking = [e["profile"] for e in summary["energy"] if e["scopes"][scope] is None]
        assert f"{name}: unknown, and not in the total, of {', '.join(lacking)}" in words
        assert lacking
    load = summary["map"]["load"]
    assert "Chip: the network fits loihi2_estimate" in text
    assert f"mapped: {load['cores']} core(s), {load['messages']:,.0f} messages and {load['hops_ew'] + load['hops_ns']:,.0f} hops" in text


def test_what_does_not_fit_is_told(walked: tuple[Path, dict[str, Any]]) -> None:
    summary = json.loads((walked[0] / "summary.json").read_text())
    broken = {"rule": "cores", "subject": "1 chip", "fault": "it has [two].", "remedy": "Buy.", "status": "broken"}
    summary["check"] |= {"fits": False, "rules": [broken, broken | {"status": "kept", "fault": "nothing"}]}
    text = printed(summary | {"map": None, "map_refused": "one neuron [is] too many"})
    assert "the network does not fit loihi2_estimate" in text
    assert "1 chip: it has [two]. Buy." in text
    assert "nothing" not in text
    assert "not mapped: one neuron [is] too many" in text


def test_summaries_without_a_chip_are_told(walked: tuple[Path, dict[str, Any]]) -> None:
    summary = json.loads((walked[0] / "summary.json").read_text())
    old = {key: value for key, value in summary.items() if key not in ("check", "map", "map_refused")}
    old["energy"] = [{key: value for key, value in e.items() if key != "latency"} for e in summary["energy"]]
    text = printed(old)
    assert "Chip:" not in text
    assert text.count("unknown │") == 6
