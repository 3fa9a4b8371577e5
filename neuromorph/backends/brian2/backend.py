"""The Brian2 backend: checks, batches of samples, and the target that simulates them."""

import math
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from neuromorph.backends.base import Capabilities, Inputs, Kept, Progress, enforce, prepare
from neuromorph.backends.brian2.batch import Batch
from neuromorph.backends.brian2.guest import borrowed
from neuromorph.backends.brian2.recorder import Recorder
from neuromorph.backends.brian2.runtime import Runtime
from neuromorph.backends.brian2.standalone import Standalone
from neuromorph.backends.plastic import ThirdFactors
from neuromorph.errors import BackendError
from neuromorph.extras import EXTRAS, installed
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

TARGETS = ("numpy", "cython", "cpp_standalone")
REPLICA_SAMPLES = 64
REPLICA_NEURONS = 20_000  # neurons, and
REPLICA_SYNAPSES = 1_000_000  # synapses, that one network holds at most, all samples together


class Brian2Backend:
    """Brian2 with samples as replicas, float64 or int64, equal to `reference` in every bit on all targets.

    `target`: "numpy" needs no compiler; "cython" compiles every part of a network once and keeps it; "cpp_standalone" compiles
    the whole network once a run, whatever the number of batches of samples. `chunk` [steps]: how far numpy and cython run
    before recorded states leave Brian2's monitors and progress is told (default: as far as keeps the monitors below 64 MiB).
    `folder`: cython's cache (default: Brian2's own), or where the standalone program is built and kept, so that an equal
    network need not be compiled again (default: a temporary folder, removed afterwards). Give each worker its own.

    Brian2's preferences, active device, default clock and log level are after a run what they were before. Where a run is
    the first to import brian2, brian2's handlers of interrupts and of uncaught errors are not installed.

    Raises:
        BackendError: unknown target, chunk below 1, or a chunk for a standalone program, which runs in one piece.
    """

    name = "brian2"
    capabilities = Capabilities(plasticity=True, note="Brian2 on its numpy, cython or C++ standalone target, samples as replicas")

    def __init__(self, target: str = "numpy", chunk: int | None = None, folder: str | os.PathLike[str] | None = None) -> None:
        if target not in TARGETS:
            raise BackendError(f"Brian2Backend: target {target!r} is unknown; there are {', '.join(TARGETS)}.")
        if chunk is not None and chunk < 1:
            raise BackendError(f"Brian2Backend: chunk is {chunk}; give 1 step or more, or None.")
        if chunk is not None and target == "cpp_standalone":
            raise BackendError("Brian2Backend: a cpp_standalone program runs in one piece; leave chunk out, or use numpy or cython.")
        self.target, self.chunk = target, chunk
        self.folder = None if folder is None else os.path.abspath(folder)

    def available(self) -> str | None:
        if not installed("brian2"):
            return f"brian2 is not installed; run: {EXTRAS['brian2'].command}"
        lacking = [] if self.target == "numpy" or os.name == "nt" else [tool for tool in _tools(self.target) if not shutil.which(tool)]
        if lacking:
            return f"target {self.target!r} needs {', '.join(lacking)}; install a C++ compiler and make, or use target='numpy'."
        return None

    def run(
        self,
        graph: Graph,
        inputs: Inputs,
        *,
        states: Iterable[str] = (),
        spikes: Iterable[str] | None = None,
        strict: bool = False,
        progress: Progress | None = None,
        third_factors: ThirdFactors | None = None,
    ) -> Recording:
        """See `neuromorph.backends.base.Backend.run`. Within a batch `progress` is told the steps done, in samples' worth.

        Raises:
            BackendError: also where code cannot be compiled.
        """
        by_name, kept, third = prepare(self, graph, inputs, states, spikes, third_factors)
        n_steps, n_samples, _ = next(iter(by_name.values())).shape
        every = Batch(range(n_samples), by_name, third)
        size = _batch_size(graph, n_samples)
        recorder = Recorder(graph, kept, n_samples, n_steps)
        with self._simulator(graph, every, kept, size, n_steps) as simulator:
            for first in range(0, n_samples, size):
                samples = range(first, min(first + size, n_samples))

                def report(steps: int, samples: range = samples) -> None:
                    if progress:
                        progress(samples.start + len(samples) * steps // n_steps, n_samples)

                simulator.run(every.part(samples), recorder, report)
        enforce(strict, recorder.saturations, self.name)
        return recorder.recording(self.name)

    @contextmanager
    def _simulator(self, graph: Graph, every: Batch, kept: Kept, size: int, n_steps: int) -> Iterator[Runtime | Standalone]:
        with borrowed(self.target, self.folder) as b2:
            if self.target != "cpp_standalone":
                yield Runtime(b2, graph, kept, size, n_steps, every.third, self.chunk)
                return
            capacity = {name: _capacity(s, size) for name, s in every.inputs.items()}
            with _folder(self.folder) as folder:
                yield Standalone(b2, graph, kept, size, n_steps, every.third, capacity, folder)


def _batch_size(graph: Graph, n_samples: int) -> int:
    """Samples in one network, about equal in all batches."""
    most = max(1, min(REPLICA_NEURONS // max(graph.n_neurons, 1), REPLICA_SYNAPSES // max(graph.n_synapses, 1), REPLICA_SAMPLES))
    return math.ceil(n_samples / math.ceil(n_samples / most))


def _capacity(spikes: Spikes, size: int) -> int:
    """Events of the fullest batch, up to a power of two: so other inputs may fit the same program."""
    most = np.bincount(spikes.sample // size, minlength=1).max()
    return 2 ** max(1, int(most - 1).bit_length())


def _tools(target: str) -> list[str]:
    """Programs that a target calls: the compiler that Brian2 finds, and make."""
    found = os.environ.get("CXX") or (sysconfig.get_config_var("CXX") if target == "cython" else None) or "g++"
    return [found.split()[0], *(["make"] if target == "cpp_standalone" else [])]


@contextmanager
def _folder(folder: str | None) -> Iterator[str]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="neuromorph-brian2-") as temporary:
        yield temporary
