"""Brian2: the step as one explicit update a population, samples as replicas side by side in one network.

The default schedule (groups, thresholds, synapses) gives a synapse without delay exactly one step, so a delay of d steps
is a Brian2 delay of (d - 1) dt. No ODE, no `refractory`, no `reset`: nothing is left to an integrator's choice.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from neuromorph.backends.base import Capabilities, Inputs, Kept, Progress, enforce, prepare
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, Input, Neurons, parameters
from neuromorph.graph.projections import Projection
from neuromorph.recording import Recording, join
from neuromorph.spikes import Spikes

REPLICA_NEURONS = 20_000  # neurons, and
REPLICA_SYNAPSES = 1_000_000  # synapses, that one network holds at most, all samples together

CURRENT_INTEGER = """
su = 1 - 2*int(u < 0)
u = su*((su*u*decay_u)//4096) + 64*({current})
over = int(u > 8388608) + int(u <= -8388608)
u = u - 16777216*int(u > 8388608) + 16777216*int(u <= -8388608)*int(over > 0)
wraps_u += over
"""
CLIP_V = """
over = int(v > 8388607) + int(v < -8388607)
v = int(clip(v, -8388607, 8388607))
clips_v += over
"""
ADAPT_INTEGER = """
a = (a*decay_a)//4096 + z*kappa
clips_a += int(a > 8388607)
a = int(clip(a, 0, 8388607))
"""
FIRE = """
theta = {theta}
z = int(v > theta)*int(quiet <= 0)
quiet = z*n_ref + (1 - z)*int(clip(quiet - 1, 0, n_ref))
"""


def update_code(p: Neurons, arrivals: list[str], integer: bool) -> str:
    """The step of one population as Brian2 abstract code; the same operations in the same order as the reference."""
    current = " + ".join(arrivals) or "0"
    adaptive = isinstance(p, ALIF)
    code = CURRENT_INTEGER.format(current=current) if integer else f"\nu = decay_u*u + ({current})\n"
    if adaptive:
        code += ADAPT_INTEGER if integer else "\na = decay_a*a + kappa*z\n"
    before = "v" if isinstance(p, LI) or p.reset == "subtract" else "v*(1 - z) + v_reset*z"
    if integer:
        code += f"\nv = {before}\nsv = 1 - 2*int(v < 0)\nv = sv*((sv*v*decay_v)//4096) + u + bias"
    else:
        code += f"\nv = decay_v*({before}) + gain*u + bias"
    if adaptive and p.adaptation == "current":
        code += " - a"
    if not isinstance(p, LI) and p.reset == "subtract":
        code += " - z*theta"
    code += CLIP_V if integer else ""
    if not isinstance(p, LI):
        base = "64*v_th" if integer else "v_th"
        code += FIRE.format(theta=f"{base} + a" if adaptive and p.adaptation == "threshold" else base)
    return code


def shifted(variable: str, exponent: int) -> str:
    return f"{variable}*{2**exponent}" if exponent >= 0 else f"({variable}//{2**-exponent})"


class Brian2Backend:
    """Brian2 on its numpy target (no compiler), float64 or int64."""

    name = "brian2"
    capabilities = Capabilities(note="Brian2, numpy target, samples as replicas")

    def available(self) -> str | None:
        return None if importlib.util.find_spec("brian2") else "brian2 is not installed; pip install 'neuromorph[brian2]'."

    def run(
        self,
        graph: Graph,
        inputs: Inputs,
        *,
        states: Iterable[str] = (),
        spikes: Iterable[str] | None = None,
        strict: bool = False,
        progress: Progress | None = None,
    ) -> Recording:
        by_name, kept = prepare(self, graph, inputs, states, spikes)
        n_samples = next(iter(by_name.values())).n_samples
        at_once = max(1, min(REPLICA_NEURONS // max(graph.n_neurons, 1), REPLICA_SYNAPSES // max(graph.n_synapses, 1), 64))
        parts: list[Recording] = []
        for first in range(0, n_samples, at_once):
            chosen = np.arange(first, min(first + at_once, n_samples))
            with _numpy_target() as b2:
                parts.append(_Replicas(b2, graph, {k: s.select(chosen) for k, s in by_name.items()}, kept).run())
            if progress:
                progress(int(chosen[-1]) + 1, n_samples)
        recording = join(parts)
        enforce(strict, recording.saturations, self.name)
        return recording


def _traced(p: Neurons) -> list[str]:
    return ["v", "a"] if isinstance(p, ALIF) else ["v"]


@contextmanager
def _numpy_target() -> Iterator[Any]:
    """Brian2 with its numpy target and quiet log; the global preferences are put back."""
    import brian2 as b2

    before = b2.prefs.codegen.target, b2.prefs.logging.console_log_level
    b2.prefs.codegen.target = "numpy"
    b2.BrianLogger.log_level_error()
    try:
        yield b2
    finally:
        b2.prefs.codegen.target, b2.prefs.logging.console_log_level = before


class _Replicas:
    """One Brian2 network that holds a copy of the graph for every sample."""

    def __init__(self, b2: Any, graph: Graph, inputs: dict[str, Spikes], kept: Kept) -> None:
        self.b2, self.graph, self.inputs = b2, graph, inputs
        self.n_steps, self.n_samples, _ = next(iter(inputs.values())).shape
        self.integer = graph.precision == "integer"
        self.dtype = np.int64 if self.integer else np.float64
        self.dt = graph.dt * b2.second
        self.clock = b2.Clock(dt=self.dt)
        self.groups = {p.name: self._generator(p) if isinstance(p, Input) else self._neurons(p) for p in graph.populations}
        self.synapses = [self._synapses(p) for p in graph.projections]
        neurons = graph.neurons
        self.monitors = {name: b2.SpikeMonitor(self.groups[name]) for name in kept.spikes}
        self.traces = {
            p.name: b2.StateMonitor(self.groups[p.name], _traced(p), record=True, clock=self.clock, when="end")
            for p in neurons
            if isinstance(p, LI) or p.name in kept.states
        }
        self.kept = kept
        objects = [*self.groups.values(), *self.synapses, *self.monitors.values(), *self.traces.values()]
        self.network = b2.Network(*objects)

    def _generator(self, p: Input) -> Any:
        spikes = self.inputs[p.name]
        return self.b2.SpikeGeneratorGroup(
            p.n * self.n_samples, spikes.sample.astype(np.int64) * p.n + spikes.neuron, spikes.step * self.dt, clock=self.clock
        )

    def _neurons(self, p: Neurons) -> Any:
        incoming = self.graph.incoming(p.name)
        arrivals = [f"arrived_{k}" for k in range(len(incoming))]
        constants = parameters(p)
        variables = ["v", "u", "a", "theta", "z", "quiet", "su", "sv", "over", "wraps_u", "clips_v", "clips_a", *arrivals]
        kind = "integer" if self.integer else "1"
        whole = {"quiet", "z"}
        model = "\n".join(f"{name} : {'integer' if name in whole else kind}" for name in variables)
        model += "\n" + "\n".join(f"{name} : {'integer' if name == 'n_ref' else kind} (constant)" for name in constants)
        dtypes = {name: np.int64 if name in whole else self.dtype for name in variables} | {k: x.dtype for k, x in constants.items()}
        threshold = None if isinstance(p, LI) else "z > 0"
        group = self.b2.NeuronGroup(p.n * self.n_samples, model, threshold=threshold, dtype=dtypes, namespace={}, clock=self.clock)
        for name, array in constants.items():
            getattr(group, name)[:] = np.tile(array, self.n_samples)
        sums = [shifted(a, q.weight_exp) if self.integer else a for a, q in zip(arrivals, incoming, strict=True)]
        clear = "".join(f"\n{name} = 0" for name in arrivals)
        group.run_regularly(update_code(p, sums, self.integer) + clear, when="groups", clock=self.clock)
        return group

    def _synapses(self, q: Projection) -> Any:
        place = [p.name for p in self.graph.incoming(q.target)].index(q.name)
        kind = "integer" if self.integer else "1"
        synapses = self.b2.Synapses(
            self.groups[q.source],
            self.groups[q.target],
            f"w : {kind}",
            on_pre=f"arrived_{place}_post += w",
            dtype={"w": self.dtype},
            namespace={},
            clock=self.clock,
        )
        if not q.n_synapses:
            synapses.active = False
            return synapses
        replica = np.arange(self.n_samples)[:, None]
        n_target = self.graph.population(q.target).n
        synapses.connect(i=(replica * q.n_source + q.rows).ravel(), j=(replica * n_target + q.indices).ravel())
        synapses.w[:] = np.tile(q.weights, self.n_samples)
        synapses.delay[:] = np.tile(q.delays - 1, self.n_samples) * self.dt
        return synapses

    def run(self) -> Recording:
        self.network.run(self.n_steps * self.dt, namespace={})
        traces = {name: {x: self._trace(monitor, x) for x in monitor.record_variables} for name, monitor in self.traces.items()}
        readouts = {p.name for p in self.graph.readouts}
        return Recording(
            backend=Brian2Backend.name,
            precision=self.graph.precision,
            graph_digest=self.graph.digest(),
            dt=self.graph.dt,
            n_samples=self.n_samples,
            n_steps=self.n_steps,
            spikes={name: self._events(name, monitor) for name, monitor in self.monitors.items()},
            readouts={name: trace["v"] for name, trace in traces.items() if name in readouts},
            states={name: trace for name, trace in traces.items() if name in self.kept.states},
            saturations=dict(self._saturations()),
        )

    def _trace(self, monitor: Any, variable: str) -> np.ndarray:
        """[n_steps, n_samples, n], which is the monitor's order already once transposed."""
        return np.asarray(getattr(monitor, variable)).T.reshape(self.n_steps, self.n_samples, -1).astype(self.dtype)

    def _events(self, name: str, monitor: Any) -> Spikes:
        n = self.graph.population(name).n
        sample, neuron = np.divmod(np.asarray(monitor.i, dtype=np.int64), n)
        step = np.rint(np.asarray(monitor.t_) / self.graph.dt).astype(np.int64)
        return Spikes.from_events(sample, step, neuron, n_samples=self.n_samples, n_steps=self.n_steps, n_neurons=n, dt=self.graph.dt)

    def _saturations(self) -> Iterator[tuple[str, int]]:
        if not self.integer:
            return
        for p in self.graph.populations:
            if isinstance(p, Input):
                continue
            for state, counter in (("u", "wraps_u"), ("v", "clips_v"), ("a", "clips_a")):
                if count := int(np.sum(getattr(self.groups[p.name], counter)[:])):
                    yield f"{p.name}.{state}", count
