"""The Lava backend: a graph becomes a netlist, a worker runs it, its files become a recording."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from neuromorph.backends.base import Capabilities, Inputs, Kept, Progress, enforce, prepare
from neuromorph.backends.lava import launch
from neuromorph.backends.lava.netlist import PROGRESS, Netlist, lower, recorded, saturation_file, trace_file
from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import Input
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

INSTALL = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 && pip install numpy scipy networkx asteval"


class LavaBackend:
    """Lava's CPU simulation: `floating_pt` models for float graphs, `fixed_pt` (bit-accurate) ones for integer graphs.

    `timeout` [s] of one run (default: two minutes and 50 ms a step of a sample); `python`: the interpreter that has Lava
    (default: $NEUROMORPH_LAVA_PYTHON, else this one). All samples go through one network, one after the other.
    """

    name = "lava"
    capabilities = Capabilities(note="Lava 0.10.0 on the CPU (archived by Intel); about 1 ms a step, for validation on few samples")

    def __init__(self, timeout: float | None = None, python: str | None = None) -> None:
        self.timeout = timeout
        self.python = python or launch.interpreter()

    def available(self) -> str | None:
        if os.name != "posix":
            return "Lava's processes are driven as a POSIX process group; use Linux or macOS."
        try:
            lacking = launch.missing_modules(self.python)
        except BackendError as error:
            return str(error)
        return f"{self.python} lacks {', '.join(lacking)}; install with: {INSTALL}" if lacking else None

    def run(
        self,
        graph: Graph,
        inputs: Inputs,
        *,
        states: Iterable[str] = (),
        spikes: Iterable[str] | None = None,
        strict: bool = False,
        progress: Progress | None = None,
    ) -> Recording:
        """See `neuromorph.backends.base.Backend.run`.

        Raises:
            BackendError: also where the worker fails or takes too long, and for sums beyond Lava's 32-bit messages.
        """
        by_name, kept = prepare(self, graph, inputs, states, spikes)
        n_steps, n_samples, _ = next(iter(by_name.values())).shape
        with tempfile.TemporaryDirectory(prefix="neuromorph-lava-") as folder:
            if graph.n_neurons:
                netlist = lower(graph, by_name, kept)
                simulate(self.python, netlist, Path(folder), self._seconds(netlist), n_samples, progress)
            recording = _recording(graph, Path(folder), kept, n_steps, n_samples)
        enforce(strict, recording.saturations, self.name)
        return recording

    def _seconds(self, netlist: Netlist) -> float:
        return 120 + 0.05 * netlist.n_total if self.timeout is None else self.timeout


def simulate(python: str, netlist: Netlist, folder: Path, timeout: float, n_samples: int, progress: Progress | None = None) -> None:
    """Run a netlist; its sinks write their files into `folder`."""
    reported = 0

    def watch() -> None:
        nonlocal reported
        file = folder / PROGRESS
        done = file.stat().st_size // netlist.n_sinks if file.exists() else 0
        if progress and done > reported:
            reported = done
            progress(done, n_samples)

    netlist.write(folder / "job.npz")
    launch.run_worker(python, folder / "job.npz", timeout, watch)


def _recording(graph: Graph, folder: Path, kept: Kept, n_steps: int, n_samples: int) -> Recording:
    """The files of a run as a recording."""
    traces: dict[str, dict[str, np.ndarray]] = {}
    saturations: dict[str, int] = {}
    for p in graph.populations:
        if isinstance(p, Input):
            continue
        shape = n_steps, n_samples, p.n
        files = {x: folder / trace_file(graph, p.name, x) for x in recorded(p, kept)}
        traces[p.name] = {x: _trace(file, shape) for x, file in files.items()}
        saturations |= {f"{p.name}.{x}": count for x, count in _counts(folder / saturation_file(graph, p.name)).items()}
    readouts = {p.name for p in graph.readouts}
    return Recording(
        backend="lava",
        precision=graph.precision,
        graph_digest=graph.digest(),
        dt=graph.dt,
        n_samples=n_samples,
        n_steps=n_steps,
        spikes={name: Spikes.from_dense(t["z"].astype(np.bool_), graph.dt) for name, t in traces.items() if name in kept.spikes},
        readouts={name: t["v"] for name, t in traces.items() if name in readouts},
        states={name: {x: t[x] for x in t if x != "z"} for name, t in traces.items() if name in kept.states},
        saturations=saturations,
    )


def _trace(file: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """A sink's [n_samples * n_steps, n] as [n_steps, n_samples, n]."""
    n_steps, n_samples, n = shape
    return np.ascontiguousarray(np.load(file, allow_pickle=False).reshape(n_samples, n_steps, n).transpose(1, 0, 2))


def _counts(file: Path) -> Mapping[str, int]:
    return json.loads(file.read_text()) if file.exists() else {}
