"""Shards on Dask: equal to a run in one piece, also when a worker is killed in the middle; nothing listens beyond this machine."""

import builtins
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from neuromorph.backends.fast import FastBackend
from neuromorph.errors import BackendError
from neuromorph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.shards import dask, run_shards
from neuromorph.spikes import Spikes
from tests.strategies import random_graph, random_inputs
from tests.test_recording import assert_equal

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator:
    """Two workers of one thread, as `dask scheduler` and `dask worker` would start them."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def graph() -> Graph:
    return random_graph(np.random.default_rng(5), precision="integer")


@pytest.fixture(scope="module")
def trains(graph: Graph) -> Spikes:
    return random_inputs(np.random.default_rng(1), graph, 8, 400)


def whole(graph: Graph, trains: Spikes) -> Recording:
    return replace(FastBackend().run(graph, trains, states=[p.name for p in graph.neurons]), backend="reference")


def test_a_worker_killed_in_the_middle_changes_nothing(cluster, graph: Graph, trains: Spikes, tmp_path: Path) -> None:
    with distributed.Client(cluster, set_as_default=False) as client:
        before = set(client.run(os.getpid).values())
        victims = sorted(before)[:1]

        def kill(done: int, total: int) -> None:
            if done >= 2 and victims:
                os.kill(victims.pop(), signal.SIGKILL)

        shards = run_shards(
            graph,
            trains,
            "reference",
            folder=tmp_path,
            executor=dask(cluster.scheduler_address),
            size=1,
            states=[p.name for p in graph.neurons],
            progress=kill,
        )
        assert not victims
        client.wait_for_workers(2, timeout=60)
        assert set(client.run(os.getpid).values()) != before
    assert not shards.failed
    assert_equal(shards.join(), whole(graph, trains))
    assert not [name for name in os.listdir(tmp_path) if not name.endswith(".h5")]


def test_failures_cross_the_network(cluster, graph: Graph, trains: Spikes, tmp_path: Path) -> None:
    """An error of a worker reaches the client as itself, and the tasks of a failed shard are new ones."""
    here = dask(cluster.scheduler_address)
    folder = tmp_path / "shards"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuromorph.shards.run.version", lambda package: "0.0.0")
        shards = run_shards(graph, trains, folder=folder, executor=here, size=8, retries=1)
    assert "the client 0.0.0" in shards.failed[range(8)]
    assert not run_shards(graph, trains, folder=folder, executor=here, size=8).failed


def test_a_cluster_of_its_own_listens_on_this_machine_only(graph: Graph, trains: Spikes, tmp_path: Path) -> None:
    listening: set[str] = set()

    def look(done: int, total: int) -> None:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            listening.update(c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)

    shards = run_shards(graph, trains, folder=tmp_path, executor=dask(workers=1), size=4, progress=look)
    assert listening == {"127.0.0.1"}
    assert_equal(shards.join(), FastBackend().run(graph, trains))


def test_no_scheduler_answers(graph: Graph, trains: Spikes, tmp_path: Path) -> None:
    import dask as core

    with core.config.set({"distributed.comm.timeouts.connect": "1s"}):
        for address in ("tcp://127.0.0.1:1", "nowhere"):
            with pytest.raises(BackendError, match=f"no Dask scheduler answers at '{address}'"):
                run_shards(graph, trains, folder=tmp_path, executor=dask(address))


def test_dask_is_not_installed(graph: Graph, trains: Spikes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = builtins.__import__

    def without(name: str, *args, **kwargs):
        if name == "distributed":
            raise ImportError(name)
        return honest(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendError, match=r"pip install 'neuromorph\[distributed\]'"):
        run_shards(graph, trains, folder=tmp_path, executor=dask("tcp://127.0.0.1:1"))
