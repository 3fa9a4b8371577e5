"""Do two recordings agree? Spike for spike in floats, bit for bit in integers, and if not: where first, why, and how much is alike."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from neuromorph.differences import Difference, first_differences, shared_traces
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording

PRECISIONS = {"float": "float64", "integer": "integer"}


@dataclass(frozen=True)
class Comparison:
    """Agreement of two recordings of one network on the same inputs.

    `identical`: all spikes equal, and every trace that both recorded equal (bit for bit in integers; within
    `differences.TOLERANCE` in floats, where summation order differs). `rounding`: not identical, but in every differing sample the first
    difference is a spike so close to the threshold that summation order explains it. `spikes`: of `against`; `spikes_differing`: those
    that only one has; `spike_agreement`: shared spikes as part of all that either has. `rates` [Hz]: mean of each population in both.
    `traces`: compared; `largest_error`: over all of them, relative to each trace's largest value. `readout_correlation`: Pearson's, of all
    readout values (None without variance). `decisions_equal`: samples on which the argmax of the mean readout agrees (None without
    readouts). Two precisions are not expected to be identical: their spikes, rates, readouts and decisions tell how alike they are.
    """

    backend: str
    against: str
    precision: str
    against_precision: str
    samples: int
    steps: int
    identical: bool
    rounding: bool
    samples_differing: int
    spikes: int
    spikes_differing: int
    spike_agreement: float
    rates: Mapping[str, tuple[float, float]]
    traces: int
    largest_error: float
    readout_correlation: float | None
    decisions_equal: int | None
    first: Difference | None

    @property
    def must_agree(self) -> bool:
        return self.precision == self.against_precision

    @property
    def agrees(self) -> bool:
        return self.identical or self.rounding

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.identical:
            return "identical"
        return "rounding" if self.rounding else "DIFFERENT" if self.must_agree else "alike in part"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"agrees": self.agrees, "verdict": self.verdict}

    def __str__(self) -> str:
        other = "" if self.must_agree else f" {self.against_precision}"
        head = f"{self.backend} {self.precision} against {self.against}{other}, {self.samples} samples: "
        if self.identical:
            return head + f"identical ({self.spikes} spikes, {self.traces} traces)"
        return head + f"{self.verdict}, {self.spikes_differing} of {self.spikes} spikes differ; first: {self.first}"


def compare(graph: Graph, recording: Recording, against: Recording, *, window: int | None = None) -> Comparison:
    """Compare two recordings of `graph` on the same inputs. `window`: steps at the end over which the readouts decide (default: all).

    Raises:
        GraphError: they are not recordings of the same size.
    """
    tally = Tally(recording, against, window)
    tally.add(graph, recording, against)
    return tally.comparison()


def decisions(recording: Recording, window: int | None = None) -> np.ndarray:
    """Class of each sample: argmax of the readout's mean over the last `window` steps (all by default) [n_samples]."""
    readout = next(iter(recording.readouts.values()))
    return np.asarray(readout[-(window or len(readout)) :].sum(axis=0).argmax(axis=1))


class Tally:
    """A comparison of two simulators, batch of samples by batch of samples."""

    def __init__(self, recording: Recording, against: Recording, window: int | None = None) -> None:
        self.names = recording.backend, against.backend
        self.precisions = recording.precision, against.precision
        self.dt, self.window = against.dt, window
        self.samples = self.steps = self.traces = 0
        self.spikes: dict[str, list[int]] = {}
        self.neurons: dict[str, int] = {}
        self.shared = 0
        self.error = 0.0
        self.moments = np.zeros(6)
        self.decided: int | None = None
        self.differences: list[Difference] = []

    def add(self, graph: Graph, x: Recording, y: Recording) -> list[Difference]:
        """The next samples; gives the first difference of every one that has one."""
        if (x.n_samples, x.n_steps) != (y.n_samples, y.n_steps):
            raise GraphError(
                f"Compare: {x.backend} recorded {x.n_samples} samples of {x.n_steps} steps, {y.backend} {y.n_samples} of {y.n_steps}; "
                "run both on the same inputs."
            )
        found = [replace(d, sample=d.sample + self.samples) for d in first_differences(graph, x, y)]
        self.differences += found
        self.samples, self.steps = self.samples + x.n_samples, x.n_steps
        for name in x.spikes.keys() & y.spikes.keys():
            a, b = x.spikes[name], y.spikes[name]
            known = self.spikes.setdefault(name, [0, 0])
            known[:] = known[0] + len(a), known[1] + len(b)
            self.neurons[name] = a.n_neurons
            self.shared += len(np.intersect1d(a.keys(), b.keys(), assume_unique=True))
        errors = [_error(a, b) for _, _, a, b in shared_traces(x, y)]
        self.traces, self.error = len(errors), max(self.error, *errors, 0.0)
        for name in x.readouts:
            self.moments += _moments(x.readouts[name], y.readouts[name])
        if x.readouts:
            same = int(np.count_nonzero(decisions(x, self.window) == decisions(y, self.window)))
            self.decided = same + (self.decided or 0)
        return found

    def comparison(self) -> Comparison:
        """Of all that was added."""
        a, b = (sum(each[i] for each in self.spikes.values()) for i in (0, 1))
        union = a + b - self.shared
        first = min(self.differences, key=lambda d: (d.step, d.sample), default=None)
        seconds = {name: n * self.samples * self.steps * self.dt for name, n in self.neurons.items()}
        return Comparison(
            backend=self.names[0],
            against=self.names[1],
            precision=PRECISIONS[self.precisions[0]],
            against_precision=PRECISIONS[self.precisions[1]],
            samples=self.samples,
            steps=self.steps,
            identical=first is None and self.precisions[0] == self.precisions[1],
            rounding=first is not None and all(d.rounding for d in self.differences),
            samples_differing=len(self.differences),
            spikes=b,
            spikes_differing=union - self.shared,
            spike_agreement=self.shared / union if union else 1.0,
            rates={name: (x / seconds[name], y / seconds[name]) for name, (x, y) in sorted(self.spikes.items())},
            traces=self.traces,
            largest_error=self.error,
            readout_correlation=_correlation(self.moments),
            decisions_equal=self.decided,
            first=first,
        )


def _error(x: np.ndarray, y: np.ndarray) -> float:
    scale = float(np.abs(y).max(initial=0))
    return float(np.abs(x - y).max(initial=0)) / (scale or 1.0)


def _moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Number, sums, sums of squares and of products of two arrays."""
    a, b = (np.asarray(trace, dtype=np.float64).reshape(-1) for trace in (x, y))
    return np.array([len(a), a.sum(), b.sum(), a @ a, b @ b, a @ b])


def _correlation(moments: np.ndarray) -> float | None:
    """Pearson's coefficient."""
    n, x, y, xx, yy, xy = moments.tolist()
    variances = (n * xx - x * x) * (n * yy - y * y)
    return (n * xy - x * y) / variances**0.5 if variances > 0 else None
