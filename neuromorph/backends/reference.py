"""The specification in numpy: floats and fixed point, all samples at once. Clear first, fast second."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from neuromorph.backends.base import Capabilities, Inputs, Kept, Progress, Step, batches, enforce, keep, prepare
from neuromorph.backends.plastic import PlasticSynapses, ThirdFactors, match_step
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, LIF, Neurons
from neuromorph.graph.projections import Projection
from neuromorph.recording import Recording, join
from neuromorph.spikes import Spikes

STATE_MAX = 2**23 - 1
CHUNK = 512  # samples simulated at once


@dataclass
class State:
    """State of one population for all samples [n_samples, n], zero at the start of every sample."""

    v: np.ndarray
    u: np.ndarray
    a: np.ndarray
    theta: np.ndarray
    z: np.ndarray
    refractory: np.ndarray
    saturations: dict[str, int] = field(default_factory=dict[str, int])


def step_float(p: Neurons, s: State, current: np.ndarray) -> None:
    """Lines 2-6 of the step in float64; Bellec 2018 eq. (1) with reset by the threshold that was crossed."""
    s.u = p.decay_u * s.u + current
    if isinstance(p, LI):
        s.v = p.decay_v * s.v + p.gain * s.u + p.bias
        return
    h = 0.0
    theta = p.v_th
    if isinstance(p, ALIF):
        s.a = p.decay_a * s.a + p.kappa * s.z
        theta, h = (p.v_th + s.a, 0.0) if p.adaptation == "threshold" else (p.v_th, s.a)
    if p.reset == "subtract":
        s.v = p.decay_v * s.v + p.gain * s.u + p.bias - h - s.z * s.theta
    else:
        s.v = p.decay_v * np.where(s.z, p.v_reset, s.v) + p.gain * s.u + p.bias - h
    _fire(p, s, theta)


def step_integer(p: Neurons, s: State, current: np.ndarray) -> None:
    """Lines 2-6 in fixed point, as Lava's bit-accurate LIF and Loihi: 24-bit states, 12-bit decays, `<< 6`."""
    s.u = _wrap(s, _decay(s.u, p.decay_u) + (current << 6))
    if isinstance(p, LI):
        s.v = _clip(s, "v", _decay(s.v, p.decay_v) + s.u + p.bias)
        return
    h = 0
    theta = p.v_th << 6
    if isinstance(p, ALIF):
        s.a = _clip(s, "a", _decay(s.a, p.decay_a) + s.z * p.kappa)
        theta, h = (theta + s.a, 0) if p.adaptation == "threshold" else (theta, s.a)
    if p.reset == "subtract":
        s.v = _clip(s, "v", _decay(s.v, p.decay_v) + s.u + p.bias - h - s.z * s.theta)
    else:
        s.v = _clip(s, "v", _decay(np.where(s.z, 0, s.v), p.decay_v) + s.u + p.bias - h)
    _fire(p, s, theta)


def _fire(p: LIF, s: State, theta: np.ndarray) -> None:
    """Spike where v > theta and no spike in the last n_ref steps."""
    s.theta = np.broadcast_to(theta, s.v.shape)
    s.z = (s.v > theta) & (s.refractory == 0)
    s.refractory = np.where(s.z, p.n_ref, np.maximum(s.refractory - 1, 0))


def _decay(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """x * factor / 4096, rounded toward zero."""
    return np.sign(x) * ((np.abs(x) * factor) >> 12)


def _wrap(s: State, u: np.ndarray) -> np.ndarray:
    """One turn around (-2^23, 2^23], as Lava's LIF does with the synaptic current."""
    high, low = u > 2**23, u <= -(2**23)
    _count(s, "u", high | low)
    return np.where(high, u - 2**24, np.where(low, u + 2**24, u))


def _clip(s: State, name: str, x: np.ndarray) -> np.ndarray:
    _count(s, name, np.abs(x) > STATE_MAX)
    return np.clip(x, -STATE_MAX, STATE_MAX)


def _count(s: State, name: str, where: np.ndarray) -> None:
    if count := int(np.count_nonzero(where)):
        s.saturations[name] = s.saturations.get(name, 0) + count


class SynapticInput:
    """Line 1: spikes in flight on one projection, in a ring of [max_delay + 1, n_samples, n_target]."""

    def __init__(self, projection: Projection, n_target: int, n_samples: int) -> None:
        self.projection = projection
        self.depth = projection.max_delay + 1
        self.ring = np.zeros((self.depth, n_samples, n_target))

    def send(self, t: int, sample: np.ndarray, source: np.ndarray) -> None:
        """Spikes (sample, source) emitted at step t, in ascending order of sample and source."""
        p = self.projection
        fan = p.indptr[source + 1] - p.indptr[source]
        before = np.cumsum(fan) - fan
        synapse = np.arange(int(fan.sum())) + np.repeat(p.indptr[source] - before, fan)
        _, n_samples, n_target = self.ring.shape
        slot = (t + p.delays[synapse]) % self.depth
        place = (slot * n_samples + np.repeat(sample, fan)) * n_target + p.indices[synapse]
        np.add.at(self.ring.reshape(-1), place, p.weights[synapse])  # one after the other, so that the order of a sum is known

    def receive(self, t: int) -> np.ndarray:
        """The sum that arrives at step t [n_samples, n_target]; integers are shifted by the projection's exponent."""
        slot = t % self.depth
        arrived = self.ring[slot].copy()
        self.ring[slot] = 0
        if self.projection.weights.dtype != np.int64:
            return arrived
        whole, exponent = arrived.astype(np.int64), self.projection.weight_exp
        return whole << exponent if exponent >= 0 else whole >> -exponent


class ReferenceBackend:
    """numpy, the oracle that every other backend is compared with."""

    name = "reference"
    capabilities = Capabilities(plasticity=True, note="numpy; the specification")

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
        by_name, kept, third = prepare(self, graph, inputs, states, spikes, third_factors)
        parts: list[Recording] = []
        for part in batches(by_name, CHUNK, progress):
            first = sum(done.n_samples for done in parts)
            own = slice(first, first + next(iter(part.values())).n_samples)
            parts.append(_Chunk(graph, part, kept, {name: signal[:, own] for name, signal in third.items()}, first).run())
        recording = join(parts)
        enforce(strict, recording.saturations, self.name)
        return recording

    def step_session(self, graph: Graph, *, n_samples: int = 1) -> "ReferenceSteps":
        keep(self, graph)
        return ReferenceSteps(graph, n_samples)


class Network:
    """A graph in mid-run, all samples side by side: one call of `step` computes one step of the specification."""

    def __init__(self, graph: Graph, n_samples: int, first: int = 0) -> None:
        self.graph, self.n_samples, self.t = graph, n_samples, 0
        self.integer = graph.precision == "integer"
        self.states = {p.name: self._zero(p) for p in graph.neurons}
        self.synapses = {
            q.name: SynapticInput(q, graph.population(q.target).n, n_samples)
            if q.plasticity is None
            else PlasticSynapses(q, graph.population(q.target).n, n_samples, first)
            for q in graph.projections
        }

    def step(self, inputs: Mapping[str, np.ndarray], third: Mapping[str, np.ndarray]) -> None:
        """`inputs`: spikes [n_samples, n] by population; `third`: signals [n_samples, 1 or n_target] by name."""
        t, advance = self.t, step_integer if self.integer else step_float
        for p in self.graph.neurons:
            advance(p, self.states[p.name], self._current(p, t))
        for q in self.graph.plastic:
            synapses, source = self.synapses[q.name], q.plasticity.third_factor if q.plasticity else ""
            assert isinstance(synapses, PlasticSynapses), "a plastic projection"
            synapses.learn(t, self.states[q.target].z, self._third(source, q, third))
        for q in self.graph.projections:
            fired = inputs[q.source] if q.source in inputs else self.states[q.source].z
            self.synapses[q.name].send(t, *np.nonzero(fired))
        self.t += 1

    def _third(self, name: str, q: Projection, third: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """The signal, or the readout of that name; a readout of integers is scaled down first."""
        if not name or name in third:
            return third.get(name)
        y = self.states[name].v
        return y >> q.plasticity.fixed.third_shift if q.plasticity and q.plasticity.fixed else y

    def _zero(self, p: Neurons) -> State:
        zero = np.zeros((self.n_samples, p.n), dtype=np.int64 if self.integer else np.float64)
        return State(zero, zero, zero, zero, zero.astype(np.bool_), np.zeros(zero.shape, dtype=np.int64))

    def _current(self, p: Neurons, t: int) -> np.ndarray:
        arrivals = [self.synapses[q.name].receive(t) for q in self.graph.incoming(p.name)]
        return sum(arrivals, np.zeros((self.n_samples, p.n), dtype=np.int64 if self.integer else np.float64))

    def saturations(self) -> dict[str, int]:
        """By "population.variable" and "projection.variable"."""
        parts = {**self.states, **{name: s for name, s in self.synapses.items() if isinstance(s, PlasticSynapses)}}
        return {f"{name}.{x}": count for name, part in parts.items() for x, count in part.saturations.items()}


class ReferenceSteps:
    """See `backends.base.StepSession`."""

    def __init__(self, graph: Graph, n_samples: int) -> None:
        self.graph, self.n_samples = graph, n_samples
        self.reset()

    def reset(self) -> None:
        self.network = Network(self.graph, self.n_samples)

    def step(self, inputs: Mapping[str, np.ndarray], third_factors: Mapping[str, np.ndarray] | None = None) -> Step:
        given, third = match_step(self.graph, self.n_samples, inputs, third_factors or {})
        self.network.step(given, third)
        states = self.network.states
        firing = {p.name: states[p.name].z for p in self.graph.neurons if isinstance(p, LIF)}
        return Step(firing, {p.name: states[p.name].v for p in self.graph.readouts})

    def plastic(self, name: str) -> dict[str, np.ndarray]:
        synapses = self.network.synapses.get(name)
        if not isinstance(synapses, PlasticSynapses):
            raise GraphError(f"Step session: {name!r} is no plastic projection; there are {', '.join(q.name for q in self.graph.plastic)}.")
        return {"H": synapses.H.copy(), "E": synapses.E.copy()}

    def __enter__(self) -> "ReferenceSteps":
        return self

    def __exit__(self, *error: object) -> None: ...


class _Chunk:
    """One batch of samples, from zero state to the last step. `first`: number of the first sample."""

    def __init__(self, graph: Graph, inputs: dict[str, Spikes], kept: Kept, third: Mapping[str, np.ndarray], first: int) -> None:
        self.graph, self.third = graph, third
        self.inputs = {name: spikes.to_dense() for name, spikes in inputs.items()}
        self.n_steps, self.n_samples = next(iter(self.inputs.values())).shape[:2]
        self.network = Network(graph, self.n_samples, first)
        dtype = np.int64 if self.network.integer else np.float64
        shape = {p.name: (self.n_steps, self.n_samples, p.n) for p in graph.neurons}
        shape |= {q.name: (self.n_steps, self.n_samples, q.n_synapses) for q in graph.plastic}
        self.z = {name: np.zeros(shape[name], dtype=np.bool_) for name in kept.spikes}
        self.y = {p.name: np.zeros(shape[p.name], dtype=dtype) for p in graph.readouts}
        variables = {p.name: ("v", "a") if isinstance(p, ALIF) else ("v",) for p in graph.neurons if p.name in kept.states}
        variables |= dict.fromkeys(kept.plastic, ("H", "E"))
        self.traces = {name: {x: np.zeros(shape[name], dtype=dtype) for x in xs} for name, xs in variables.items()}

    def run(self) -> Recording:
        for t in range(self.n_steps):
            self.network.step({name: z[t] for name, z in self.inputs.items()}, {name: m[t] for name, m in self.third.items()})
            self._record(t)
        return Recording(
            backend=ReferenceBackend.name,
            precision=self.graph.precision,
            graph_digest=self.graph.digest(),
            dt=self.graph.dt,
            n_samples=self.n_samples,
            n_steps=self.n_steps,
            spikes={name: Spikes.from_dense(z, self.graph.dt) for name, z in self.z.items()},
            readouts=self.y,
            states=self.traces,
            saturations=self.network.saturations(),
        )

    def _record(self, t: int) -> None:
        for name, y in self.y.items():
            y[t] = self.network.states[name].v
        for name, z in self.z.items():
            z[t] = self.network.states[name].z
        parts = {**self.network.synapses, **self.network.states}
        for name, traces in self.traces.items():
            for x, trace in traces.items():
                trace[t] = getattr(parts[name], x)
