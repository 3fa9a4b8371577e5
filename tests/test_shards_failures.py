"""Shards that fail: tried again, and listed when that does not help; what is refused before anything runs."""

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends.fast import FastBackend
from neuromorph.errors import BackendError, GraphError
from neuromorph.graph import LIF, Graph, Input, Projection
from neuromorph.shards import Pool, run_shards
from neuromorph.spikes import Spikes
from tests.test_recording import assert_equal
from tests.test_shards import network, nobody, sharded, spikes_for, whole, written


class Failing(ThreadPoolExecutor):
    """Runs tasks, except that `fails(call, inputs)` may raise in place of the call-th."""

    def __init__(self, fails: Callable[[int, dict[str, Spikes]], None]) -> None:
        super().__init__(2)
        self.fails, self.calls, self.most, self.flying = fails, 0, 0, 0

    def submit(self, fn, /, *args, **kwargs) -> Future:
        self.calls += 1
        self.flying += 1
        self.most = max(self.most, self.flying)
        future = super().submit(self.guarded, self.calls, fn, *args)
        future.add_done_callback(self.landed)
        return future

    def guarded(self, call: int, fn, job, trains):
        self.fails(call, trains)
        return fn(job, trains)

    def landed(self, future: Future) -> None:
        self.flying -= 1


def opened(executor: Failing, limit: int = 3):
    @contextmanager
    def pools() -> Iterator[Pool]:
        yield Pool(executor, lambda: limit)

    return pools


def test_a_shard_that_fails_twice_is_done_the_third_time(tmp_path: Path) -> None:
    graph = network()
    trains = spikes_for(graph)
    seen: list[int] = []

    def fails(call: int, part: dict[str, Spikes]) -> None:
        if part["in"].n_samples == 2 and len(seen) < 2:  # the last shard
            seen.append(call)
            raise OSError("no space left")

    executor = Failing(fails)
    shards = sharded(graph, trains, tmp_path, executor=opened(executor))
    assert_equal(shards.join(), whole(graph, trains))
    assert executor.calls == 4 + 2
    assert executor.most <= 3


def test_a_shard_that_always_fails_is_listed_and_the_others_are_done(tmp_path: Path) -> None:
    graph = network()
    trains = spikes_for(graph)

    def fails(call: int, part: dict[str, Spikes]) -> None:
        if part["in"] == trains.select([3, 4, 5]):
            raise OSError("no space left")

    executor = Failing(fails)
    shards = sharded(graph, trains, tmp_path, executor=opened(executor), retries=3)
    assert executor.calls == 4 + 3
    assert dict(shards.failed) == {range(3, 6): "OSError: no space left"}
    for samples, result in shards:
        assert_equal(result, whole(graph, trains.select(list(samples))))
    with pytest.raises(BackendError, match=r"3 samples have no result \(3..5: OSError: no space left\). Mend the cause and run again"):
        shards.join()
    assert_equal(sharded(graph, trains, tmp_path).join(), whole(graph, trains))


def test_a_shard_that_ends_its_workers_does_not_take_others_with_it(tmp_path: Path) -> None:
    """Pools that break one after the other: only the cause is listed, after 1 + retries times alone."""
    graph = network()
    trains = spikes_for(graph, 20)
    pools: list[int] = []

    @contextmanager
    def fragile() -> Iterator[Pool]:
        broken: list[int] = []

        def fails(call: int, part: dict[str, Spikes]) -> None:
            if part["in"] == trains.select([6, 7, 8]):
                broken.append(call)
            if broken:
                raise BrokenExecutor("a worker died")

        pools.append(1)
        with Failing(fails) as executor:
            yield Pool(executor, lambda: 4)

    shards = sharded(graph, trains, tmp_path, executor=fragile)
    assert set(shards.failed) == {range(6, 9)}
    assert len(shards.done) == 6
    assert len(pools) <= 1 + 3 + 1  # broken by many, by one alone three times, the last for the others


def test_a_pool_that_takes_nothing_ends(tmp_path: Path) -> None:
    graph = network()
    closed = Failing(lambda call, part: None)
    closed.shutdown()
    shards = sharded(graph, spikes_for(graph), tmp_path, executor=opened(closed))
    assert len(shards.failed) == 4
    assert all("cannot schedule new futures" in why for why in shards.failed.values())


def overflowing() -> tuple[Graph, Spikes]:
    """One spike wraps the neuron's current; samples 1 and 3 of 4 have one."""
    zero = np.zeros(1, np.int64)
    constants = {"decay_v": zero + 1, "decay_u": zero, "gain": zero + 1, "bias": zero, "v_th": zero + 100, "v_reset": zero, "n_ref": zero}
    line = Projection.from_dense("in", "n", np.array([[254]]), weight_exp=10)
    graph = Graph(1e-3, (Input("in", 1), LIF("n", 1, **constants, reset="subtract")), (line,))
    return graph, Spikes.from_events([1, 3], [2, 2], [0, 0], n_samples=4, n_steps=5, n_neurons=1, dt=1e-3)


def test_samples_that_saturate_in_a_strict_run_are_listed_at_once(tmp_path: Path) -> None:
    graph, trains = overflowing()
    executor = Failing(lambda call, part: None)
    shards = run_shards(graph, trains, folder=tmp_path, size=1, strict=True, executor=opened(executor))
    assert list(shards.failed) == [range(1, 2), range(3, 4)]
    assert all("SaturationError" in why for why in shards.failed.values())
    assert executor.calls == 2  # one for the silent samples, one for the others, none again
    free = run_shards(graph, trains, folder=tmp_path, size=1).join()
    assert_equal(free, FastBackend().run(graph, trains))
    assert sum(free.saturations.values()) >= 2


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    graph = network()
    trains = spikes_for(graph)
    for wrong, message in (
        ({"size": 0}, "a shard has at least one sample"),
        ({"retries": -1}, "retries are 0 or more"),
        ({"counts": True, "backend": "reference"}, "come from backend 'fast'"),
        ({"counts": True, "spikes": ["hidden0"]}, "keep neither spikes nor states"),
        ({"backend": "slow"}, "'slow' is unknown"),
    ):
        with pytest.raises(BackendError, match=message):
            run_shards(graph, trains, folder=tmp_path, executor=nobody, **wrong)
    for wrong, message in (({"spikes": ["in"]}, "cannot be recorded"), ({"states": ["nothing"]}, "no population 'nothing'")):
        with pytest.raises(GraphError, match=message):
            run_shards(graph, trains, folder=tmp_path, executor=nobody, **wrong)
    with pytest.raises(GraphError, match="window is 31 steps"):
        run_shards(graph, trains, folder=tmp_path, counts=True, window=31)
    assert not written(tmp_path)


def test_workers_of_another_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network()
    monkeypatch.setattr("neuromorph.shards.job.version", lambda package: "0.0.0")
    shards = sharded(graph, spikes_for(graph), tmp_path)
    assert len(shards.failed) == 4
    assert all("a worker has neuromorph 0.0.0, the client" in why for why in shards.failed.values())
