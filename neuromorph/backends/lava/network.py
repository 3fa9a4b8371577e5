"""A netlist that stays up in a worker, and takes call after call."""

import json
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from neuromorph.backends.base import Progress
from neuromorph.backends.lava.launch import Worker
from neuromorph.backends.lava.netlist import Netlist
from neuromorph.errors import BackendError
from neuromorph.spikes import Spikes

ANSWER = 120.0  # seconds given to a call beside those for its steps: at first the network is built
STEP = 0.05  # seconds given to a step


class Network:
    """A live netlist. It ends by `close`, by a failed or interrupted call, with its last reference, or with the interpreter.

    `timeout` [s] of a call (default: two minutes and 50 ms a step of a sample).
    """

    def __init__(self, python: str, netlist: Netlist, timeout: float | None = None) -> None:
        folder = tempfile.TemporaryDirectory(prefix="neuromorph-lava-")
        netlist.write(Path(folder.name) / "netlist.npz")
        self._worker = Worker(python, Path(folder.name))
        self._folder = Path(folder.name)
        self._timeout = timeout
        self.close = weakref.finalize(self, _end, self._worker, folder)

    @contextmanager
    def run(
        self,
        inputs: Mapping[str, Spikes],
        n_steps: int,
        n_samples: int,
        progress: Progress | None = None,
        signals: Mapping[str, np.ndarray] | None = None,
        begin: int = 0,
    ) -> Iterator[Path]:
        """Simulate all samples of `inputs` and `signals` [n_steps, n_samples, 1 or n], both by file name; gives the folder with the files
        that the processes wrote. `begin` above 0: the call goes on with the sample of the call before, at this step of it.

        Raises:
            BackendError: the network is closed, failed, or took too long; it is closed then.
        """
        if not self.close.alive:
            raise BackendError("lava: the session is closed; open a new one.")
        timeout = ANSWER + STEP * n_steps * n_samples if self._timeout is None else self._timeout
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="call-") as folder:
            for name, spikes in inputs.items():
                _save_samples(Path(folder) / name, spikes)
            widths = {name: _save_signal(Path(folder) / name, signal) for name, signal in (signals or {}).items()}
            call = {"n_steps": n_steps, "n_samples": n_samples, "begin": begin, "widths": widths, "folder": folder}
            try:
                self._worker.call(call, n_samples, timeout, lambda done: progress(done, n_samples) if progress else None)
            except BaseException:
                self.close()
                raise
            yield Path(folder)


def _end(worker: Worker, folder: tempfile.TemporaryDirectory[str]) -> None:
    worker.end()
    folder.cleanup()


def _save_samples(path: Path, spikes: Spikes) -> None:
    """The dense arrays bool [n_steps, n] of one sample after the other."""
    bounds = np.searchsorted(spikes.sample, np.arange(spikes.n_samples + 1, dtype=np.int32))
    with path.open("wb") as file:
        for first, last in pairwise(bounds):
            raster = np.zeros((spikes.n_steps, spikes.n_neurons), dtype=np.bool_)
            raster[spikes.step[first:last], spikes.neuron[first:last]] = True
            np.save(file, raster)


def _save_signal(path: Path, signal: np.ndarray) -> int:
    """The arrays [n_steps, width] of one sample after the other; the width."""
    with path.open("wb") as file:
        for sample in range(signal.shape[1]):
            np.save(file, signal[:, sample])
    return signal.shape[2]


def load_samples(path: Path, n_samples: int) -> Iterator[np.ndarray]:
    """The arrays [n_steps, n] of one sample after the other."""
    with path.open("rb") as file:
        for _ in range(n_samples):
            yield np.load(file, allow_pickle=False)


def load_counts(path: Path) -> dict[str, int]:
    """Saturations of the state variables of a population or a plastic projection."""
    return json.loads(path.read_text())
