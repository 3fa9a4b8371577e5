"""Runs whose spikes are counted and not kept, on the simulator that is there: `fast`, or the reference, which gives the same numbers."""

from collections.abc import Mapping

import numpy as np

from neuromorph.backends.base import Inputs, Progress, ThirdFactors, batches, prepare
from neuromorph.backends.fast.backend import CHUNK, FastBackend
from neuromorph.backends.fast.summary import Summary, join
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.reached import count_active
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes


def default_backend() -> str:
    """The backend to run on where none is named: "fast" if numba is installed, else "reference"."""
    return FastBackend.name if FastBackend().available() is None else ReferenceBackend.name


def summarise(
    graph: Graph,
    inputs: Inputs,
    *,
    window: int | None = None,
    strict: bool = False,
    progress: Progress | None = None,
    third_factors: ThirdFactors | None = None,
) -> Summary:
    """Count what every sample does on the default backend; see `FastBackend.summarise`.

    Raises:
        GraphError: inputs do not fit the graph, or the window the steps.
        SaturationError: see `Backend.run`.
    """
    fast = FastBackend()
    if fast.available() is None:
        return fast.summarise(graph, inputs, window=window, strict=strict, progress=progress, third_factors=third_factors)
    reference = ReferenceBackend()
    by_name, _, third = prepare(reference, graph, inputs, third_factors=third_factors)
    n_steps = next(iter(by_name.values())).n_steps
    window = n_steps if window is None else window
    if not 1 <= window <= n_steps:
        raise GraphError(f"Summary: window is {window} steps; allowed: 1..{n_steps}, the steps of the input.")
    parts = [by_name] if graph.plastic else batches(by_name, CHUNK, progress)
    return join([_summary(graph, part, reference.run(graph, part, strict=strict, third_factors=third), window) for part in parts])


def _summary(graph: Graph, inputs: Mapping[str, Spikes], recording: Recording, window: int) -> Summary:
    spikes = {**inputs, **recording.spikes}
    emitted = {p.name: spikes[p.name] for p in graph.populations if p.name in spikes}
    return Summary(
        graph_digest=recording.graph_digest,
        dt=recording.dt,
        n_samples=recording.n_samples,
        n_steps=recording.n_steps,
        window=window,
        fired={name: s.counts().astype(np.int32) for name, s in emitted.items()},
        active={p.name: count_active(graph, p, emitted, recording.n_samples) for p in graph.neurons},
        readouts={name: y[recording.n_steps - window :].sum(0) / window for name, y in recording.readouts.items()},
        saturations=recording.saturations,
    )
