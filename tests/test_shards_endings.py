"""Shards in worker processes: equal to one piece whatever is killed, the client or a worker."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from neuromorph.graph import save
from neuromorph.shards import Pool, processes
from neuromorph.spikes import save_spikes
from tests.strategies import random_graph
from tests.test_recording import assert_equal
from tests.test_shards import network, sharded, spikes_for, whole, written


def test_processes_agree_even_when_one_is_killed(tmp_path: Path) -> None:
    graph = network()
    trains = spikes_for(graph, 8, 400)
    opened: list[int] = []

    @contextmanager
    def two() -> Iterator[Pool]:
        opened.append(1)
        with processes(2)() as pool:
            yield pool

    def kill(done: int, total: int) -> None:
        if 0 < done < total and len(opened) == 1:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    shards = sharded(graph, trains, tmp_path, "reference", size=1, executor=two, progress=kill)
    assert len(opened) > 1
    assert_equal(shards.join(), whole(graph, trains, "reference"))


def test_lava_works_in_worker_processes(tmp_path: Path) -> None:
    graph = random_graph(np.random.default_rng(5), precision="integer", max_neurons=3)
    trains = spikes_for(graph, 2, 10)
    shards = sharded(graph, trains, tmp_path, "lava", size=1, executor=processes(2), retries=0)
    assert not shards.failed
    assert_equal(shards.join(), whole(graph, trains, "lava"))


CLIENT = """
import sys
from pathlib import Path
from neuromorph.graph import load
from neuromorph.shards import processes, run_shards
from neuromorph.spikes import load_spikes
folder = Path(sys.argv[1])
graph, trains = load(folder / "graph.h5"), load_spikes(folder / "in.h5")
states = [p.name for p in graph.neurons]
run_shards(graph, trains, "reference", folder=folder / "shards", size=1, states=states, executor=processes(2))
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
def test_a_client_that_ends_leaves_whole_shards_and_nobody_behind(tmp_path: Path, ending: signal.Signals) -> None:
    graph = network()
    trains = spikes_for(graph, 16, 600)
    folder = tmp_path / "shards"
    save(tmp_path / "graph.h5", graph)
    save_spikes(tmp_path / "in.h5", {"in": trains})
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(tmp_path)], start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(written(folder)) < 2 and time.monotonic() < deadline and client.poll() is None:
        time.sleep(0.05)
    workers = psutil.Process(client.pid).children(recursive=True)
    assert len(workers) >= 2
    if ending == signal.SIGINT:
        os.killpg(client.pid, ending)
    else:
        client.kill()
    assert client.wait(timeout=30) in (-ending, 130)
    assert not psutil.wait_procs(workers, timeout=30)[1]
    before = written(folder)
    assert 2 <= len(before) < 16
    counted: list[int] = []

    def told(done: int, total: int) -> None:
        counted.append(done)

    shards = sharded(graph, trains, folder, "reference", size=1, executor=processes(2), progress=told)
    assert counted == list(range(len(before), 17))
    assert before.items() <= written(folder).items()
    assert_equal(shards.join(), whole(graph, trains, "reference"))
    if ending == signal.SIGINT:
        assert client.stderr is not None
        assert client.stderr.read().count(b"KeyboardInterrupt") == 1  # of the client, not of every worker
