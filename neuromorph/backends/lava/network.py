"""A netlist that stays up in a worker, and takes call after call."""

import json
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
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
        inputs: Mapping[str, Spikes | np.ndarray],
        n_steps: int,
        n_samples: int,
        progress: Progress | None = None,
    ) -> Iterator[Path]:
        """Simulate all samples of `inputs`, spikes or arrays [n_steps, n_samples, 1 or n] by file name; gives the folder with the files
        that the processes wrote.

        Raises:
            BackendError: the network is closed, failed, or took too long; it is closed then.
        """
        self._check_open()
        timeout = ANSWER + STEP * n_steps * n_samples if self._timeout is None else self._timeout
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="call-") as folder:
            for name, given in inputs.items():
                _save_samples(Path(folder) / name, _rasters(given) if isinstance(given, Spikes) else np.moveaxis(given, 1, 0))
            widths = {name: given.shape[-1] for name, given in inputs.items()}
            call = {"n_steps": n_steps, "n_samples": n_samples, "live": False, "widths": widths, "folder": folder}
            self._call(call, n_samples, timeout, lambda done: progress(done, n_samples) if progress else None)
            yield Path(folder)

    def share(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays [1, n] in files of those names, filled as the given ones, which the processes read and write in every `step`."""
        folder = self._folder / "live"
        folder.mkdir()
        shared: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            np.save(folder / name, array)
            shared[name] = np.load(folder / name, mmap_mode="r+")
        widths = {name: array.shape[-1] for name, array in arrays.items()}
        self._live = {"n_steps": 1, "n_samples": 1, "live": True, "widths": widths, "folder": str(folder)}
        return shared

    def step(self) -> None:
        """One step with the shared arrays, see `share`; errors as `run`."""
        self._check_open()
        self._call(self._live, 1, ANSWER if self._timeout is None else self._timeout, lambda _: None)
        self._live = {"n_steps": 1, "n_samples": 1, "goes_on": True}

    def _check_open(self) -> None:
        if not self.close.alive:
            raise BackendError("lava: the session is closed; open a new one.")

    def _call(self, call: Mapping[str, object], n_samples: int, timeout: float, done: Callable[[int], None]) -> None:
        try:
            self._worker.call(call, n_samples, timeout, done)
        except BaseException:
            self.close()
            raise


def _end(worker: Worker, folder: tempfile.TemporaryDirectory[str]) -> None:
    worker.end()
    folder.cleanup()


def _rasters(spikes: Spikes) -> Iterator[np.ndarray]:
    """The dense arrays bool [n_steps, n] of one sample after the other."""
    bounds = np.searchsorted(spikes.sample, np.arange(spikes.n_samples + 1, dtype=np.int32))
    for first, last in pairwise(bounds):
        raster = np.zeros((spikes.n_steps, spikes.n_neurons), dtype=np.bool_)
        raster[spikes.step[first:last], spikes.neuron[first:last]] = True
        yield raster


def _save_samples(path: Path, samples: Iterable[np.ndarray]) -> None:
    """The arrays [n_steps, n] of one sample after the other."""
    with path.open("wb") as file:
        for sample in samples:
            np.save(file, sample)


def load_samples(path: Path, n_samples: int) -> Iterator[np.ndarray]:
    """The arrays [n_steps, n] of one sample after the other."""
    with path.open("rb") as file:
        for _ in range(n_samples):
            yield np.load(file, allow_pickle=False)


def load_counts(path: Path) -> dict[str, int]:
    """Saturations of the state variables of a population or a plastic projection."""
    return json.loads(path.read_text())
