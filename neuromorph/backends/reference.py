"""The specification in numpy: floats and fixed point, all samples at once. Clear first, fast second."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from neuromorph.backends.base import Capabilities, Inputs, Kept, Progress, batches, enforce, prepare
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
    capabilities = Capabilities(note="numpy; the specification")

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
    ) -> Recording:
        by_name, kept = prepare(self, graph, inputs, states, spikes)
        recording = join([_Chunk(graph, part, kept).run() for part in batches(by_name, CHUNK, progress)])
        enforce(strict, recording.saturations, self.name)
        return recording


class _Chunk:
    """One batch of samples, from zero state to the last step."""

    def __init__(self, graph: Graph, inputs: dict[str, Spikes], kept: Kept) -> None:
        self.graph = graph
        self.inputs = {name: spikes.to_dense() for name, spikes in inputs.items()}
        self.n_steps, self.n_samples = next(iter(self.inputs.values())).shape[:2]
        self.integer = graph.precision == "integer"
        self.neurons = graph.neurons
        self.states = {p.name: self._zero(p) for p in self.neurons}
        self.synapses = {p.name: SynapticInput(p, graph.population(p.target).n, self.n_samples) for p in graph.projections}
        dtype = np.int64 if self.integer else np.float64
        trace = {p.name: (self.n_steps, self.n_samples, p.n) for p in self.neurons}
        self.z = {name: np.zeros(trace[name], dtype=np.bool_) for name in kept.spikes}
        self.y = {p.name: np.zeros(trace[p.name], dtype=dtype) for p in self.neurons if isinstance(p, LI)}
        self.traces = {
            p.name: {x: np.zeros(trace[p.name], dtype=dtype) for x in (("v", "a") if isinstance(p, ALIF) else ("v",))}
            for p in self.neurons
            if p.name in kept.states
        }

    def _zero(self, p: Neurons) -> State:
        zero = np.zeros((self.n_samples, p.n), dtype=np.int64 if self.integer else np.float64)
        return State(zero, zero, zero, zero, zero.astype(np.bool_), np.zeros(zero.shape, dtype=np.int64))

    def run(self) -> Recording:
        step = step_integer if self.integer else step_float
        for t in range(self.n_steps):
            for p in self.neurons:
                state = self.states[p.name]
                step(p, state, self._current(p, t))
                self._record(p, state, t)
            for projection in self.graph.projections:
                fired = self.inputs[projection.source][t] if projection.source in self.inputs else self.states[projection.source].z
                self.synapses[projection.name].send(t, *np.nonzero(fired))
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
            saturations={f"{name}.{x}": count for name, state in self.states.items() for x, count in state.saturations.items()},
        )

    def _current(self, p: Neurons, t: int) -> np.ndarray:
        arrivals = [self.synapses[q.name].receive(t) for q in self.graph.incoming(p.name)]
        return sum(arrivals, np.zeros((self.n_samples, p.n), dtype=np.int64 if self.integer else np.float64))

    def _record(self, p: Neurons, state: State, t: int) -> None:
        if isinstance(p, LI):
            self.y[p.name][t] = state.v
        elif p.name in self.z:
            self.z[p.name][t] = state.z
        for name, trace in self.traces.get(p.name, {}).items():
            trace[t] = state.v if name == "v" else state.a
