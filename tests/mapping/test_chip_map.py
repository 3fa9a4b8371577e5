"""Maps come back from their files; what is no map, or that of another graph, is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from neuromorph.errors import FormatError
from neuromorph.graph import Graph
from neuromorph.mapping import ChipMap, load_map, map_to_chip, save_map
from tests.mapping.test_partition import small
from tests.strategies import random_graph


def mapped(seed: int = 0) -> tuple[Graph, ChipMap]:
    graph = random_graph(np.random.default_rng(seed), max_neurons=40)
    return graph, map_to_chip(graph, small(compartments=12), seed=1)[0]


@pytest.mark.parametrize("seed", range(3))
def test_maps_come_back(tmp_path: Path, seed: int) -> None:
    graph, found = mapped(seed)
    assert found.partition.n_cores > 2
    save_map(tmp_path / "m.json", found)
    back = load_map(tmp_path / "m.json", graph)
    assert back.to_dict() == found.to_dict()
    for p in graph.neurons:
        assert np.array_equal(back.partition.core_of(p.name), found.partition.core_of(p.name))


def _short(raw: dict) -> None:
    """The last slice of a population ends a neuron early."""
    name = raw["cores"][0]["slices"][0][0]
    max((s for core in raw["cores"] for s in core["slices"] if s[0] == name), key=lambda s: s[2])[2] -= 1


HARMS = {
    "do not cover": _short,
    "cores lie at": lambda raw: raw["cores"][0].update(core=raw["cores"][1]["core"]),
    "of 128 places": lambda raw: raw["cores"][0].update(core=10**6),
    "it has slices of": lambda raw: [s.__setitem__(0, "other") for s in raw["cores"][0]["slices"]],
}


@pytest.mark.parametrize(("told", "harm"), HARMS.items(), ids=HARMS)
def test_maps_that_were_edited(tmp_path: Path, told: str, harm) -> None:
    graph, found = mapped()
    raw = found.to_dict()
    harm(raw)
    (tmp_path / "m.json").write_text(json.dumps(raw))
    with pytest.raises(FormatError, match=rf"{told}.*map the graph anew"):
        load_map(tmp_path / "m.json", graph)


@pytest.mark.parametrize("harm", [lambda raw: raw.pop("cores"), lambda raw: raw.update(cores=[]), lambda raw: raw["mesh"].pop("rows")])
def test_files_that_hold_no_map(tmp_path: Path, harm) -> None:
    graph, found = mapped()
    raw = found.to_dict()
    harm(raw)
    (tmp_path / "m.json").write_text(json.dumps(raw))
    with pytest.raises(FormatError, match=r"m\.json: not a chip map .*make one with `neuromorph map`"):
        load_map(tmp_path / "m.json", graph)


def test_other_formats_and_other_graphs(tmp_path: Path) -> None:
    graph, found = mapped()
    (tmp_path / "m.json").write_text(json.dumps({"format": "neuromorph.chip_map/2"}))
    with pytest.raises(FormatError, match=r"its format is 'neuromorph\.chip_map/2'"):
        load_map(tmp_path / "m.json", graph)
    save_map(tmp_path / "m.json", found)
    with pytest.raises(FormatError, match="map this one anew"):
        load_map(tmp_path / "m.json", mapped(1)[0])
