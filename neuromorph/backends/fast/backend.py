"""`fast`: whole data sets on the compiled kernel, bit for bit as `reference` in floats and in fixed point."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from neuromorph.backends.base import Capabilities, Inputs, Progress, batches, enforce, prepare
from neuromorph.backends.plastic import ThirdFactors
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording, join

if TYPE_CHECKING:
    from neuromorph.backends.fast.summary import Summary

CHUNK = 256
"""Samples simulated before anything is handed on."""


class FastBackend:
    """numba, event-driven; see `kernel`. Samples are shared among the processors this process may use."""

    name = "fast"
    capabilities = Capabilities(note="compiled by numba, event-driven; for whole data sets")

    def available(self) -> str | None:
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
        from neuromorph.backends.fast.simulator import Simulator

        by_name, kept, _ = prepare(self, graph, inputs, states, spikes, third_factors)
        simulator = Simulator(graph, self.name)
        recording = join([simulator.record(part, kept) for part in batches(by_name, CHUNK, progress)])
        enforce(strict, recording.saturations, self.name)
        return recording

    def summarise(
        self, graph: Graph, inputs: Inputs, *, window: int | None = None, strict: bool = False, progress: Progress | None = None
    ) -> "Summary":
        """Count what every sample does, and average the readouts over the last `window` steps (default: all), without keeping spikes.

        The memory it takes does not grow with spikes or steps; `counts.of_summary` makes the counts of it that `counts.count` makes of a
        recording.

        Raises:
            GraphError: inputs do not fit the graph, or the window the steps.
            SaturationError: see `Backend.run`.
        """
        from neuromorph.backends.fast import summary
        from neuromorph.backends.fast.simulator import Simulator

        by_name, _, _ = prepare(self, graph, inputs)
        n_steps = next(iter(by_name.values())).n_steps
        window = n_steps if window is None else window
        if not 1 <= window <= n_steps:
            raise GraphError(f"Summary: window is {window} steps; allowed: 1..{n_steps}, the steps of the input.")
        simulator = Simulator(graph, self.name)
        found = summary.join([simulator.summarise(part, window) for part in batches(by_name, CHUNK, progress)])
        enforce(strict, found.saturations, self.name)
        return found
