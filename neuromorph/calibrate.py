"""Post-training calibration: the grid on which a chip's integers fire most like the floats, found on sample data."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neuromorph.backends.base import Inputs, Progress, ThirdFactors
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError, QuantizationError
from neuromorph.graph.graph import Graph
from neuromorph.grid import Grid
from neuromorph.hardware import HardwareProfile
from neuromorph.quantize import quantize
from neuromorph.quantize_plastic import quantize_third_factors
from neuromorph.recording import Recording

SCALES = tuple(2 ** (k / 8) for k in (-6, -5, -4, -3, -2, -1, 1, 2))
"""Scales that are tried, as multiples of the best so far; a larger one than `quantize` allows clips the heaviest weights."""


@dataclass(frozen=True)
class Mismatch:
    """How far an integer recording is from that of the floats.

    `spikes`: spikes that only one of them has, as a share of the floats' spikes. `readout`: Euclidean norm of the
    difference of all readout traces over that of the floats'.
    """

    spikes: float
    readout: float

    @property
    def total(self) -> float:
        return self.spikes + self.readout


@dataclass(frozen=True)
class Calibration:
    """The `grid` to give to `quantize`, mismatch on the sample data with it and with what `quantize` chooses alone.

    `tried`: grids in all; `samples`: of the sample data.
    """

    profile: str
    grid: Grid
    mismatch: Mismatch
    plain: Mismatch
    tried: int
    samples: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def calibrate(
    graph: Graph,
    profile: HardwareProfile,
    inputs: Inputs,
    *,
    third_factors: ThirdFactors | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Scales and weight exponents of least mismatch (the sum of its two parts) between the float and the integer reference.

    One pass of coordinate descent from what `quantize` chooses: for each population some scales, its exponents chosen anew,
    and for each projection one exponent less, which halves the rounding and clips the heaviest weights. What lowers the
    mismatch stays, so it is never above that of `quantize`. Nothing is drawn; equal arguments give equal grids.

    `inputs`: spikes of some samples (of training, not of the test); `third_factors`: of plastic graphs, their signals in these samples, as
    the float graph takes them. `progress`: called with grids tried and in all.

    Raises:
        QuantizationError: see `quantize`; or the graph holds integers already.
    """
    if graph.precision == "integer":
        raise QuantizationError("Calibrate: the graph holds integers already; give the float graph that they were made of.")
    search = _Search(graph, profile, inputs, third_factors or {})
    plain = search.best
    neurons = [p.name for p in graph.neurons]
    total = sum(len(SCALES) + len(graph.incoming(name)) for name in neurons)
    for name in neurons:
        for candidate in search.moves(name):
            search.consider(candidate)
            if progress:
                progress(search.tried - 1, total)
    grid = Grid.of(search.integer)
    return Calibration(profile.id, grid, search.best, plain, search.tried, search.floats.n_samples)


def mismatch(floats: Recording, integers: Recording, scales: Mapping[str, float]) -> Mismatch:
    """Of two recordings on the same inputs; `scales`: integer units of v per unit of float v, by population."""
    differing = sum(int(np.count_nonzero(s.to_dense() != integers.spikes[name].to_dense())) for name, s in floats.spikes.items())
    error = sum((float(np.square(integers.readouts[name] / scales[name] - y).sum()) for name, y in floats.readouts.items()), 0.0)
    power = sum(float(np.square(y).sum()) for y in floats.readouts.values())
    return Mismatch(differing / max(sum(len(s) for s in floats.spikes.values()), 1), float(np.sqrt(error / power)) if power else error)


class _Search:
    """The best integer graph so far."""

    def __init__(self, graph: Graph, profile: HardwareProfile, inputs: Inputs, third: ThirdFactors) -> None:
        self.graph, self.profile, self.inputs, self.third = graph, profile, inputs, third
        self.integer, _ = quantize(graph, profile)
        self.floats = ReferenceBackend().run(graph, inputs, third_factors=third)
        self.best = self._mismatch(self.integer)
        self.tried = 1

    def moves(self, name: str) -> Iterator[Grid]:
        """Changes for a population and its projections, each from what is best by then."""
        own = {q.name for q in self.graph.incoming(name)}
        start = Grid.of(self.integer)
        others = {q: exponent for q, exponent in start.exponents.items() if q not in own}
        for factor in SCALES:
            yield Grid({**start.scales, name: start.scales[name] * factor}, others)
        for q in self.graph.incoming(name):
            best = Grid.of(self.integer)
            yield Grid(best.scales, {**best.exponents, q.name: best.exponents[q.name] - 1})

    def consider(self, grid: Grid) -> None:
        """Take the grid if its mismatch is lower; a grid that the chip cannot have is passed over."""
        self.tried += 1
        try:
            integer, _ = quantize(self.graph, self.profile, grid)
        except (QuantizationError, GraphError):
            return
        if (found := self._mismatch(integer)).total < self.best.total:
            self.integer, self.best = integer, found

    def _mismatch(self, integer: Graph) -> Mismatch:
        third = quantize_third_factors(integer, self.third)
        found = ReferenceBackend().run(integer, self.inputs, third_factors=third)
        return mismatch(self.floats, found, Grid.of(integer).scales)
