"""Shards: equal to a run in one piece, and computed once."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.fast import FastBackend
from neuromorph.backends.fast.summary import ARRAYS, Summary
from neuromorph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.shards import Pool, Shards, run_shards, serial
from neuromorph.shards.job import Job, key
from neuromorph.spikes import Spikes
from tests.strategies import graphs, inputs, random_graph, random_inputs
from tests.test_recording import assert_equal

SAMPLES, STEPS, SIZE = 11, 30, 3


def network(precision: str = "integer", seed: int = 5) -> Graph:
    return random_graph(np.random.default_rng(seed), precision=precision)


def spikes_for(graph: Graph, n_samples: int = SAMPLES, n_steps: int = STEPS) -> Spikes:
    return random_inputs(np.random.default_rng(1), graph, n_samples, n_steps)


def everything(graph: Graph) -> list[str]:
    return [p.name for p in graph.neurons]


def whole(graph: Graph, trains: Spikes, backend: str = "fast") -> Recording:
    """A run in one piece, by the fast backend, which has the numbers of all others."""
    return replace(FastBackend().run(graph, trains, states=everything(graph)), backend=backend)


def sharded(graph: Graph, trains: Spikes, folder: Path, backend: str = "fast", **options) -> Shards:
    return run_shards(graph, trains, backend, folder=folder, **{"size": SIZE, "states": everything(graph), **options})


def same_summary(one: Summary, other: Summary) -> None:
    for field in ("graph_digest", "dt", "n_samples", "n_steps", "window", "saturations"):
        assert getattr(one, field) == getattr(other, field)
    for field in ARRAYS:
        a, b = getattr(one, field), getattr(other, field)
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
            assert a[name].dtype == b[name].dtype


def written(folder: Path) -> dict[str, int]:
    """Finished files and the time of each, [ns]."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.h5")}


@contextmanager
def nobody() -> Iterator[Pool]:
    raise AssertionError("something was to be computed")
    yield


@settings(max_examples=10, deadline=None)
@given(st.data(), st.sampled_from(["float", "integer"]), st.integers(1, 8))
def test_shards_of_any_size_join_to_the_whole(data: st.DataObject, precision: str, size: int) -> None:
    graph = data.draw(graphs(precision=precision))
    trains = data.draw(inputs(graph, 5, 12))
    with tempfile.TemporaryDirectory() as folder:
        shards = sharded(graph, trains, Path(folder), size=size)
        assert [sample for samples, _ in shards for sample in samples] == list(range(5))
        assert_equal(shards.join(), whole(graph, trains))


def test_counts_join_to_the_whole(tmp_path: Path) -> None:
    graph = network()
    trains = spikes_for(graph)
    counted = run_shards(graph, trains, folder=tmp_path, size=SIZE, counts=True, window=7)
    same_summary(counted.join(), FastBackend().summarise(graph, trains, window=7))
    everywhere = run_shards(graph, trains, folder=tmp_path, size=SIZE, counts=True)
    same_summary(everywhere.join(), FastBackend().summarise(graph, trains))


def test_chosen_populations_alone_are_kept(tmp_path: Path) -> None:
    graph = network(seed=6)
    trains = spikes_for(graph)
    first = next(p.name for p in graph.neurons if p not in graph.readouts)
    shards = run_shards(graph, trains, folder=tmp_path, size=SIZE, spikes=[first])
    assert_equal(shards.join(), FastBackend().run(graph, trains, spikes=[first]))


def test_results_come_in_the_order_of_the_graph(tmp_path: Path) -> None:
    """Files list names in alphabetical order; the first readout, which decides, is the graph's first."""
    graph = network()
    parts = [replace(p, name="z") if p.name == "out" else p for p in graph.populations]
    parts.append(replace(parts[-1], name="a"))
    lines = [replace(q, target="z", name=f"{q.name}z") if q.target == "out" else q for q in graph.projections]
    two = Graph(graph.dt, tuple(parts), tuple(lines))
    trains = spikes_for(two)
    for counts in (False, True):
        assert list(run_shards(two, trains, folder=tmp_path, size=SIZE, counts=counts).join().readouts) == ["z", "a"]


def test_a_second_run_computes_nothing(tmp_path: Path) -> None:
    graph = network()
    trains = spikes_for(graph)
    told: list[tuple[int, int]] = []
    first = sharded(graph, trains, tmp_path, progress=lambda *x: told.append(x))
    assert told == [(0, 11), (3, 11), (6, 11), (9, 11), (11, 11)]
    again = sharded(graph, trains, tmp_path, executor=nobody, progress=lambda *x: told.append(x))
    assert told[5:] == [(11, 11)]
    assert again.files == first.files
    assert_equal(again.join(), first.join())


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "changed"])
def test_a_harmed_shard_is_computed_again_alone(tmp_path: Path, harm: str) -> None:
    graph = network()
    trains = spikes_for(graph)
    shards = sharded(graph, trains, tmp_path)
    victim, before = shards.files[1], written(tmp_path)
    data = victim.read_bytes()
    first, last = len(data) // 4, len(data) // 2
    changed = data[:first] + bytes(255 - b for b in data[first:last]) + data[last:]
    victim.unlink()
    if harm != "missing":
        victim.write_bytes({"empty": b"", "cut": data[:-100], "changed": changed}[harm])
    again = sharded(graph, trains, tmp_path)
    after = written(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {victim.name}
    assert victim.read_bytes() == data
    assert_equal(again.join(), whole(graph, trains))


def test_more_samples_cost_only_the_new_ones(tmp_path: Path) -> None:
    graph = network()
    trains = spikes_for(graph)
    sharded(graph, trains.select(np.arange(6)), tmp_path)
    before = written(tmp_path)
    sharded(graph, trains, tmp_path)
    assert before.items() < written(tmp_path).items()


def test_equal_samples_are_computed_once(tmp_path: Path) -> None:
    graph = network()
    one = spikes_for(graph, 2).to_dense()
    trains = Spikes.from_dense(np.concatenate([one, one, one], axis=1), graph.dt)
    told: list[int] = []
    shards = sharded(graph, trains, tmp_path, size=2, progress=lambda done, total: told.append(done))
    assert len(shards.done) == 3
    assert len(shards.files) == len(written(tmp_path)) == 1
    assert told == [0, 6]
    assert_equal(shards.join(), whole(graph, trains))


def test_a_key_is_made_of_everything_that_matters() -> None:
    graph = network()
    trains = {"in": spikes_for(graph, 2)}
    job = Job(graph, "fast", ("hidden0",), (), False, None, "1")
    others = [
        replace(job, graph=network(seed=6)),
        replace(job, backend="reference"),
        replace(job, spikes=()),
        replace(job, states=("hidden0",)),
        replace(job, strict=True),
        replace(job, window=7),
        replace(job, window=8),
        replace(job, version="2"),
    ]
    keys = [key(j.about(), trains) for j in (job, *others)]
    keys += [key(job.about(), {"in": spikes_for(graph, 3)}), key(job.about(), {"other": trains["in"]})]
    assert len(set(keys)) == len(keys)
    assert key(replace(job, graph=network()).about(), {"in": spikes_for(graph, 2)}) == keys[0]


def test_serial_is_the_default() -> None:
    with serial() as pool:
        assert pool.executor.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.executor.submit(divmod, 7, 0).result()
