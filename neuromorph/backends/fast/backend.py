"""`fast`: whole data sets on the compiled kernel, bit for bit as `reference` in floats and in fixed point."""

from collections.abc import Iterable

import numpy as np

from neuromorph.backends.base import Capabilities, Inputs, Progress, enforce, prepare
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording, join

CHUNK = 1024
"""Samples simulated before anything is handed on."""


class FastBackend:
    """numba, event-driven; see `kernel`. Samples are shared among the processors this process may use."""

    name = "fast"
    capabilities = Capabilities(note="compiled by numba, event-driven; for whole data sets")

    def available(self) -> str | None:
        return None

    def run(
        self, graph: Graph, inputs: Inputs, *, states: Iterable[str] = (), strict: bool = False, progress: Progress | None = None
    ) -> Recording:
        from neuromorph.backends.fast.simulator import Simulator

        by_name, wanted = prepare(self, graph, inputs, states)
        n_samples = next(iter(by_name.values())).n_samples
        simulator, parts = Simulator(graph, wanted, self.name), list[Recording]()
        for first in range(0, n_samples, CHUNK):
            chosen = np.arange(first, min(first + CHUNK, n_samples))
            parts.append(simulator.run([by_name[p.name].select(chosen) for p in graph.inputs]))
            if progress:
                progress(int(chosen[-1]) + 1, n_samples)
        recording = join(parts)
        enforce(strict, recording.saturations, self.name)
        return recording
