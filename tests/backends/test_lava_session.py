"""A Lava network that stays up: call after call as the reference, and nothing left behind by any end of it."""

import dataclasses
import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends.base import Kept
from neuromorph.backends.lava import LavaBackend, check, launch
from neuromorph.backends.lava.filenames import input_file
from neuromorph.backends.lava.netlist import Netlist, lower
from neuromorph.backends.lava.network import Network
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import BackendError, GraphError, SaturationError
from neuromorph.graph import LIF, Graph, Input, Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.backends.test_lava import assert_identical, bytecode_of_the_workers, every_form, lava, neurons

__all__ = ["bytecode_of_the_workers"]

MARK = "NEUROMORPH_TEST_MARK"


@dataclass
class Marked:
    """The processes that a test starts, told by their environment, and the shared memory that they were seen to use."""

    value: str
    shared_memory: set[Path] = field(default_factory=set)

    def processes(self) -> dict[int, str]:
        """Living ones and their commands (zombies have no environment)."""
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.value}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    self.shared_memory |= {Path(name) for name in re.findall(r"/dev/shm/psm_\w+", (folder / "maps").read_text())}
            except OSError:
                continue
        return found

    def look(self) -> dict[int, str]:
        """The processes of a live network."""
        found = self.processes()
        assert len(found) > 5
        assert len(self.shared_memory) > 5
        return found

    def worker(self) -> int:
        """Process id of the worker: the leader of the group."""
        (leader,) = {os.getpgid(number) for number in self.processes()}
        return leader

    def left(self) -> list[object]:
        """What still lives or lies about."""
        return [*self.processes().items(), *(path for path in self.shared_memory if path.exists())]


@pytest.fixture
def marked(monkeypatch, request, tmp_path) -> Iterator[Marked]:
    """Afterwards nothing is left of what the test started."""
    found = Marked(f"{os.getpid()}-{request.node.name}")
    monkeypatch.setenv(MARK, found.value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield found
    assert found.left() == []
    assert list(tmp_path.iterdir()) == []


def endless(n_steps: int = 200, n_samples: int = 2000) -> tuple[Graph, Spikes]:
    """A small net with more samples than any test waits for."""
    graph, _ = check.two_neurons()
    return graph, Spikes.from_dense(np.ones((n_steps, n_samples, 1), dtype=np.bool_), graph.dt)


# Calls


def keeping(recording: Recording, *names: str) -> Recording:
    """A recording of the spikes of these populations only."""
    return dataclasses.replace(recording, spikes={name: recording.spikes[name] for name in names})


def different(graph: Graph, seed: int, n_steps: int, n_samples: int) -> dict[str, Spikes]:
    rng = np.random.default_rng(seed)
    return {p.name: Spikes.from_dense(rng.random((n_steps, n_samples, p.n)) < 0.3, graph.dt) for p in graph.inputs}


@lava
def test_calls_of_any_size_and_input_on_one_live_network(marked):
    """Bit for bit as the reference, the first call again at the end as at the start, by the same processes all the time."""
    graph, states = every_form("integer"), ["lsnn", "ahp", "out"]
    sizes = ((30, 2), (1, 3), (12, 1), (30, 2))
    alive: list[set[int]] = []
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        alive.append(set(marked.look()))

    with LavaBackend().session(graph, states=states, spikes=["stock", "lsnn"]) as session:
        for call, (n_steps, n_samples) in enumerate(sizes):
            inputs = different(graph, call % 3, n_steps, n_samples)
            wanted = ReferenceBackend().run(graph, inputs, states=states)
            assert_identical(session.run(inputs, progress=progress), keeping(wanted, "stock", "lsnn"))
    assert alive[0]
    assert all(processes == alive[0] for processes in alive)
    assert told == [(done + 1, total) for _, total in sizes for done in range(total)]


@lava
def test_calls_in_floats():
    """A call repeated after another one gives the same in every bit."""
    graph = check.every_process("float")
    first, second = (different(graph, seed, steps, 2) for seed, steps in ((0, 30), (1, 20)))
    with LavaBackend().session(graph, states=neurons(graph)) as session:
        once, other, again = (session.run(inputs) for inputs in (first, second, first))
    assert_identical(again, once)
    for found, inputs in ((once, first), (other, second)):
        wanted = ReferenceBackend().run(graph, inputs, states=neurons(graph))
        assert sum(len(spikes) for spikes in wanted.spikes.values()) > 20
        assert found.spikes == wanted.spikes
        np.testing.assert_allclose(found.readouts["out"], wanted.readouts["out"], rtol=1e-9, atol=1e-12)


@lava
def test_networks_without_connection_and_without_record_stay_up(marked):
    """One population is driven, one has neither synapses nor a record; an Input drives nothing. Saturation is counted by call."""
    whole = {"decay_v": 4090, "precision": "integer"}
    populations = (
        Input("in", 1),
        Input("idle", 2),
        LIF.of("driven", 2, v_th=3000, **whole),
        LIF.of("alone", 3, v_th=2**17 - 1, bias=2**20, reset="to_value", **whole),
    )
    graph = Graph(1e-3, populations, (Projection.from_dense("in", "driven", np.array([[254, 4]]), weight_exp=12),))
    with LavaBackend().session(graph, spikes=["driven"]) as session:
        for n_steps, n_samples in ((40, 2), (12, 1)):
            inputs = different(graph, n_steps, n_steps, n_samples)
            wanted = ReferenceBackend().run(graph, inputs)
            assert wanted.saturations["driven.v"] > 0
            assert len(wanted.spikes["alone"]) > 0
            assert_identical(session.run(inputs), keeping(wanted, "driven"))
        marked.look()
    with LavaBackend().session(graph, spikes=[]) as session:
        assert_identical(session.run(inputs), keeping(wanted))


@lava
def test_refused_calls_leave_the_session_as_it_was(marked):
    graph, spikes = check.two_neurons()
    drive, loop = graph.projections
    strong = graph.replace(projections=(drive, dataclasses.replace(loop, weight_exp=10)))
    with LavaBackend().session(strong) as session:
        with pytest.raises(GraphError, match="channels"):
            session.run(Spikes.from_dense(np.ones((3, 1, 2), dtype=np.bool_), graph.dt))
        with pytest.raises(SaturationError, match=r"lava.*lif\.u"):
            session.run(spikes, strict=True)
        assert_identical(session.run(spikes), ReferenceBackend().run(strong, spikes))
        marked.look()
        session.close()
        with pytest.raises(BackendError, match="session is closed; open a new one"):
            session.run(spikes)
        session.close()


def test_what_cannot_be_recorded_is_refused_before_anything_starts(monkeypatch):
    monkeypatch.setattr(LavaBackend, "available", lambda self: None)
    monkeypatch.setattr(launch, "subprocess", None)
    graph, _ = check.two_neurons()
    with pytest.raises(GraphError, match="'in' is an Input"):
        LavaBackend().session(graph, states=["in"])
    heavy = np.full((130, 1), 254)
    lif = LIF.of("lif", 1, decay_v=3000, v_th=50, precision="integer")
    with pytest.raises(BackendError, match=r"'lif' can sum to 2163998720 in one step; Lava's messages hold 2147483647"):
        LavaBackend().session(Graph(1e-3, (Input("in", 130), lif), (Projection.from_dense("in", "lif", heavy, weight_exp=16),)))


def test_a_graph_without_neurons_needs_no_network(monkeypatch):
    monkeypatch.setattr(LavaBackend, "available", lambda self: None)
    monkeypatch.setattr(launch, "subprocess", None)
    with LavaBackend().session(Graph(1e-3, (Input("in", 2),), ())) as session:
        found = session.run(Spikes.from_dense(np.ones((3, 2, 2), dtype=np.bool_), 1e-3))
    assert (found.n_steps, found.n_samples, found.spikes) == (3, 2, {})


# The end of a network


@lava
def test_a_timeout_ends_the_whole_group(marked, monkeypatch):
    """The clock jumps by an hour as soon as the network has simulated a sample."""
    seen: list[int] = []
    graph, spikes = endless()
    monkeypatch.setattr(launch, "clock", lambda: time.monotonic() + 3600 * bool(seen))
    with pytest.raises(BackendError, match=r"did not end within 300 s.*larger timeout"):
        LavaBackend(timeout=300.0).run(graph, spikes, progress=lambda *_: seen.append(len(marked.look())))
    assert seen[0] > 5, "worker, connections, neurons and source live in processes of their own"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Background jobs of a shell inherit that interrupts are ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@lava
def test_an_interrupt_during_a_call_ends_the_whole_group(marked, interruptible):
    graph, spikes = endless()
    with LavaBackend().session(graph) as session:
        with pytest.raises(KeyboardInterrupt):
            session.run(spikes, progress=lambda *_: (marked.look(), signal.raise_signal(signal.SIGINT)))
        assert marked.left() == []
        with pytest.raises(BackendError, match="session is closed"):
            session.run(spikes)


@lava
def test_an_interrupt_between_calls_does_not_reach_the_network(marked, interruptible):
    """It is in a process group of its own; leaving the `with` block ends it."""
    graph, spikes = check.two_neurons()

    def interrupted() -> None:
        with LavaBackend().session(graph) as session:
            session.run(spikes)
            marked.look()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            assert_identical(session.run(spikes), ReferenceBackend().run(graph, spikes))
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def one_actor(marked: Marked) -> int:
    """A process that Lava started: the youngest of the group."""
    return max(marked.processes())


def worker_only(marked: Marked) -> None:
    os.kill(marked.worker(), signal.SIGKILL)


def whole_group(marked: Marked) -> None:
    """Even the resource tracker, which else removes the shared memory."""
    os.killpg(marked.worker(), signal.SIGKILL)


def part_of_the_network(marked: Marked) -> None:
    os.kill(one_actor(marked), signal.SIGKILL)


@lava
@pytest.mark.parametrize(
    ("kill", "told"), [(worker_only, "status -9"), (whole_group, "status -9"), (part_of_the_network, r"status 1[\s\S]*status -9")]
)
def test_what_is_killed_during_a_call_is_told_at_once(marked, kill: Callable[[Marked], None], told):
    graph, spikes = endless()
    killed: list[float] = []

    def progress(done: int, _: int) -> None:
        if not killed:
            marked.look()
            kill(marked)
            killed.append(time.monotonic())

    with pytest.raises(BackendError, match=f"the worker ended with {told}"):
        LavaBackend(timeout=300.0).run(graph, spikes, progress=progress)
    assert time.monotonic() - killed[0] < 60


@lava
def test_a_worker_killed_between_calls_is_told_by_the_next(marked):
    graph, spikes = check.two_neurons()
    session = LavaBackend().session(graph)
    session.run(spikes)
    marked.look()
    worker_only(marked)
    with pytest.raises(BackendError, match=r"ended with status -9; open a new session"):
        session.run(spikes)


@lava
def test_a_session_without_a_reference_ends(marked):
    graph, spikes = check.two_neurons()
    LavaBackend().session(graph).run(spikes, progress=lambda *_: marked.look())
    gc.collect()
    assert marked.left() == []


@lava
@pytest.mark.parametrize("wait", [0.0, 2.0], ids=["at once", "when it is being built or stands"])
def test_a_session_never_used_ends(marked, wait):
    with LavaBackend().session(check.two_neurons()[0]):
        assert marked.processes()
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            marked.processes()
            time.sleep(0.1)
    assert marked.left() == []


HOST = """
from tests.backends.test_lava_session import LavaBackend, endless
graph, spikes = endless(20, {})
session = LavaBackend().session(graph)
session.run(spikes, progress=lambda *call: print(call, flush=True))
input()
"""


def start_host(n_samples: int, folder: Path) -> "subprocess.Popen[bytes]":
    """A program that opens a session, has told the first sample when this returns, and does not close it."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", HOST.format(n_samples)]
    host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env=environment)
    assert host.stdout is not None
    assert host.stdout.readline().startswith(b"(")
    return host


@lava
@pytest.mark.parametrize("n_samples", [1, 2000], ids=["between calls", "during a call"])
def test_a_killed_host_takes_the_network_with_it(marked, n_samples, tmp_path_factory):
    """Only its temporary folder remains."""
    host = start_host(n_samples, tmp_path_factory.mktemp("host"))
    marked.look()
    host.kill()
    host.communicate()
    deadline = time.monotonic() + 60
    while marked.left() and time.monotonic() < deadline:
        time.sleep(0.1)


@lava
def test_a_session_left_open_ends_with_the_interpreter(marked, tmp_path):
    host = start_host(1, tmp_path)
    marked.look()
    host.communicate(b"\n")
    assert host.returncode == 0
    assert marked.left() == [], "the program ends after the network"


def with_sink(change: Callable[[dict[str, object]], dict[str, object]]) -> tuple[Netlist, str, Spikes]:
    graph, spikes = check.two_neurons()
    netlist = check.as_stock(lower(graph, Kept(("lif",), ())))
    changed = (dataclasses.replace(p, arguments=change(dict(p.arguments))) if p.kind == "FileSink" else p for p in netlist.processes)
    return dataclasses.replace(netlist, processes=tuple(changed)), input_file(graph, "in"), spikes


@lava
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: a | {"record": {"z": ["no/such/folder.npy", "bool"]}}, r"no/such/folder\.npy"),
        (lambda a: a | {"record": {"nothing": ["file.npy", "bool"]}}, "KeyError: 'nothing'"),
        (lambda a: a | {"n": 3}, r"Shapes \(2,\) and \(3,\) are incompatible"),
    ],
    ids=["at the last step", "at the first step", "when built"],
)
def test_an_error_inside_a_lava_process_is_quoted(marked, change, told):
    """Well before the time is up, though Lava goes on waiting for the process."""
    netlist, file, spikes = with_sink(change)
    network = Network(launch.interpreter(), netlist, 300.0)
    started = time.monotonic()
    with pytest.raises(BackendError, match=rf"status 1[\s\S]*({told})"), network.run({file: spikes}, 16, 1):
        pass
    assert time.monotonic() - started < 200
    marked.shared_memory |= {launch.SHARED_MEMORY / name for name in network._worker._shared_memory}
