"""`fast`: whole data sets on the compiled kernel, bit for bit as `reference` in floats and in fixed point."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from neuromorph.backends.base import Capabilities, Inputs, Progress, batches, enforce, keep, prepare
from neuromorph.backends.plastic import ThirdFactors
from neuromorph.errors import GraphError
from neuromorph.extras import EXTRAS, installed
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording, join
from neuromorph.spikes import Spikes

if TYPE_CHECKING:
    from neuromorph.backends.fast.session import FastSteps
    from neuromorph.backends.fast.summary import Summary

CHUNK = 256
"""Samples simulated before anything is handed on."""


class FastBackend:
    """numba, event-driven; see `kernel`. Samples are shared among the processors this process may use."""

    name = "fast"
    capabilities = Capabilities(plasticity=True, note="compiled by numba, event-driven; for whole data sets")

    def available(self) -> str | None:
        return None if installed("numba") else f"numba is not installed; run: {EXTRAS['fast'].command}"

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
        by_name, kept, third = prepare(self, graph, inputs, states, spikes, third_factors)
        from neuromorph.backends.fast.simulator import Simulator

        simulator, parts = Simulator(graph, self.name), batches(by_name, CHUNK, progress)
        recording = join([simulator.record(part, kept, own, first) for part, own, first in _with(third, parts)])
        enforce(strict, recording.saturations, self.name)
        return recording

    def summarise(
        self,
        graph: Graph,
        inputs: Inputs,
        *,
        window: int | None = None,
        strict: bool = False,
        progress: Progress | None = None,
        third_factors: ThirdFactors | None = None,
    ) -> "Summary":
        """Count what every sample does, and average the readouts over the last `window` steps (default: all), without keeping spikes.

        The memory it takes does not grow with spikes or steps; `counts.of_summary` makes the counts of it that `counts.count` makes of a
        recording.

        Raises:
            GraphError: inputs do not fit the graph, or the window the steps.
            SaturationError: see `Backend.run`.
        """
        by_name, _, third = prepare(self, graph, inputs, third_factors=third_factors)
        from neuromorph.backends.fast import summary
        from neuromorph.backends.fast.simulator import Simulator

        n_steps = next(iter(by_name.values())).n_steps
        window = n_steps if window is None else window
        if not 1 <= window <= n_steps:
            raise GraphError(f"Summary: window is {window} steps; allowed: 1..{n_steps}, the steps of the input.")
        simulator, parts = Simulator(graph, self.name), batches(by_name, CHUNK, progress)
        found = summary.join([simulator.summarise(part, window, own, first) for part, own, first in _with(third, parts)])
        enforce(strict, found.saturations, self.name)
        return found

    def step_session(self, graph: Graph, *, n_samples: int = 1) -> "FastSteps":
        keep(self, graph)
        from neuromorph.backends.fast.session import FastSteps

        return FastSteps(graph, n_samples, self.name)


def _with(
    third: Mapping[str, np.ndarray], parts: Iterable[dict[str, Spikes]]
) -> Iterator[tuple[dict[str, Spikes], dict[str, np.ndarray], int]]:
    """Each batch of samples, its third factors, and the number of its first sample."""
    first = 0
    for part in parts:
        last = first + next(iter(part.values())).n_samples
        yield part, {name: signal[:, first:last] for name, signal in third.items()}, first
        first = last
