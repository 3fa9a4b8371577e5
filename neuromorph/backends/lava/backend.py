"""The Lava backend: a graph becomes a netlist, a worker keeps it alive, its files become recordings."""

import os
from collections.abc import Iterable
from typing import get_args

from neuromorph.backends.base import Capabilities, Inputs, Progress, keep, prepare
from neuromorph.backends.lava import launch
from neuromorph.backends.lava.netlist import Learning
from neuromorph.backends.lava.session import LavaSession
from neuromorph.backends.lava.steps import LavaSteps
from neuromorph.backends.plastic import ThirdFactors
from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording


class LavaBackend:
    """Lava's CPU simulation: `floating_pt` models for float graphs, `fixed_pt` (bit-accurate) ones for integer graphs.

    `timeout` [s] of one call (default: two minutes and 50 ms a step of a sample); `python`: the interpreter that has Lava
    (default: $NEUROMORPH_LAVA_PYTHON, else this one). All samples go through one network, one after the other.

    `learning`: "exact", plastic synapses in a process of our own that computes what the reference does; "stock", in Lava's own engine of
    Loihi's learning rules (`learning_rule`), for integer graphs whose rules it can express. The stock rule is an APPROXIMATION, and its
    recordings are labelled so.
    """

    name = "lava"
    capabilities = Capabilities(
        plasticity=True, note="Lava 0.10.0 on the CPU (archived by Intel); about 3 ms a step, to validate on some hundred samples"
    )

    def __init__(self, timeout: float | None = None, python: str | None = None, learning: Learning = "exact") -> None:
        if learning not in get_args(Learning):
            raise BackendError(f"lava: learning is {learning!r}; there are {', '.join(get_args(Learning))}.")
        self.timeout = timeout
        self.learning: Learning = learning
        self.python = python or launch.interpreter()

    def available(self) -> str | None:
        if os.name != "posix":
            return "Lava's processes are driven as a POSIX process group; use Linux or macOS."
        try:
            lacking = launch.missing_modules(self.python)
        except BackendError as error:
            return str(error)
        return f"{self.python} lacks {', '.join(lacking)}; run: neuromorph lava install --python {self.python}" if lacking else None

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
        """See `neuromorph.backends.base.Backend.run`.

        Raises:
            BackendError: also where the worker fails or takes too long, and for sums beyond Lava's 32-bit messages.
        """
        by_name, kept, third = prepare(self, graph, inputs, states, spikes, third_factors)
        with LavaSession(graph, kept, self.python, self.timeout, self.learning) as session:
            return session.run(by_name, strict=strict, progress=progress, third_factors=third)

    def session(self, graph: Graph, *, states: Iterable[str] = (), spikes: Iterable[str] | None = None) -> LavaSession:
        """A live network of the graph that simulates call after call, for use in a `with` statement.

            with LavaBackend().session(graph) as session:
                recording = session.run(inputs)

        `states`, `spikes`: what each call records, as in `run`.

        Raises:
            GraphError: a population to record is none of the graph, or it has no Input.
            BackendError: as `run`.
        """
        return LavaSession(graph, keep(self, graph, states, spikes), self.python, self.timeout, self.learning)

    def step_session(self, graph: Graph, *, n_samples: int = 1) -> LavaSteps:
        """A live network of the graph that takes one step at a time, so that an agent can act; 4 to 8 ms a step on two busy cores.

        Raises:
            BackendError: as `run`, and for more than one sample: Lava has no samples side by side.
        """
        keep(self, graph)
        if n_samples != 1:
            raise BackendError(f"lava: a step session runs one sample, {n_samples} are asked for; open one session for each.")
        return LavaSteps(graph, self.python, self.timeout, self.learning)
