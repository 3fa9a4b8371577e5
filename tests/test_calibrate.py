"""Calibration: never worse than quantising alone, the same each time, mismatch worked by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends import backend
from neuromorph.calibrate import Mismatch, calibrate, mismatch
from neuromorph.errors import QuantizationError
from neuromorph.graph import Graph, load, save
from neuromorph.grid import Grid
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.spikes import save_spikes
from tests.strategies import random_graph, random_inputs
from tests.test_grid import resetting_to_zero

LOIHI2 = load_profile("loihi2")


def problem(seed: int, neurons: int):
    rng = np.random.default_rng(seed)
    graph = resetting_to_zero(random_graph(rng, max_neurons=neurons))
    return graph, random_inputs(rng, graph, n_samples=2, n_steps=15)


def found_mismatch(graph: Graph, inputs, grid: Grid | None) -> Mismatch:
    """Not by `calibrate`: from the graphs that a user makes."""
    integer, _ = quantize(graph, LOIHI2, grid)
    a, b = (backend("reference").run(g, inputs) for g in (graph, integer))
    spikes = [{(name, *event) for name, s in r.spikes.items() for event in zip(*map(list, np.nonzero(s.to_dense())))} for r in (a, b)]
    scale = float(integer.metadata["scale.out"])
    error = np.linalg.norm(b.readouts["out"] / scale - a.readouts["out"]) / np.linalg.norm(a.readouts["out"])
    return Mismatch(len(spikes[0] ^ spikes[1]) / max(len(spikes[0]), 1), float(error))


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), neurons=st.integers(3, 6))
def test_never_worse_than_quantize(seed: int, neurons: int) -> None:
    graph, inputs = problem(seed, neurons)
    found = calibrate(graph, LOIHI2, inputs)
    plain, after = found_mismatch(graph, inputs, None), found_mismatch(graph, inputs, found.grid)
    assert found.plain.spikes == pytest.approx(plain.spikes)
    assert found.mismatch.spikes == pytest.approx(after.spikes)
    assert found.mismatch.readout == pytest.approx(after.readout)
    assert after.total <= plain.total + 1e-12


def test_the_same_each_time_with_progress() -> None:
    graph, inputs = problem(3, 4)
    seen: list[tuple[int, int]] = []
    first = calibrate(graph, LOIHI2, inputs, progress=lambda done, total: seen.append((done, total)))
    assert calibrate(graph, LOIHI2, inputs) == first
    assert seen == [(i, len(seen)) for i in range(1, len(seen) + 1)]
    assert first.tried == len(seen) + 1
    assert first.samples == 2


def test_it_starts_from_the_grid_that_a_graph_carries() -> None:
    graph, inputs = problem(5, 4)
    first = calibrate(graph, LOIHI2, inputs)
    again = calibrate(graph.replace(metadata=first.grid.to_metadata(LOIHI2.id)), LOIHI2, inputs)
    assert again.plain == first.mismatch


def test_mismatch_by_hand() -> None:
    """Readouts twice the floats at scale 1: error 1; at scale 2: none."""
    graph, inputs = problem(1, 4)
    floats = backend("reference").run(graph, inputs)
    name, y = next(iter(floats.readouts.items()))
    doubled = replace(floats, readouts={name: 2 * y})
    assert mismatch(floats, doubled, {name: 1.0}) == Mismatch(0.0, 1.0)
    assert mismatch(floats, doubled, {name: 2.0}) == Mismatch(0.0, 0.0)


def test_integers_are_refused() -> None:
    graph, inputs = problem(1, 4)
    integer, _ = quantize(graph, LOIHI2)
    with pytest.raises(QuantizationError, match="holds integers already"):
        calibrate(integer, LOIHI2, inputs)


def test_on_the_command_line(tmp_path: Path) -> None:
    """The integers written are those of the grid found on the first sample alone."""
    from typer.testing import CliRunner

    from neuromorph.cli.app import app

    graph, inputs = problem(1, 4)
    model, spikes, out = tmp_path / "model.h5", tmp_path / "inputs.h5", tmp_path / "integers.h5"
    save(model, graph)
    save_spikes(spikes, {"in": inputs})
    arguments = ["quantize", model, "-o", out, "--calibrate", spikes, "--samples", 1]
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    expected = calibrate(graph, LOIHI2, inputs.select(np.arange(1)))
    assert json.loads(result.stdout)["calibration"] == expected.to_dict()
    assert Grid.of(load(out)) == expected.grid
