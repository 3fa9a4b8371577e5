"""Random graphs that fire, and inputs that make them: hypothesis strategies and the seeded builders beneath them.

Float weights are multiples of 2^-10 (below 2^10), so a sum of them is exact in any order: two simulators may add
arriving spikes as they like and still must agree in every bit.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from neuromorph.graph import ALIF, LI, LIF, FixedPoint, Graph, Input, Plasticity, Population, Projection
from neuromorph.spikes import Spikes

RATE = 0.2  # input spikes per channel and step for which the weights are scaled
DENSITY = 0.7


@dataclass(frozen=True)
class Choices:
    """What a random graph may contain."""

    precision: str = "float"
    max_neurons: int = 8
    resets: Sequence[str] = ("subtract", "to_value")
    adaptations: Sequence[str] = ("threshold", "current")
    delays: tuple[int, int] = (1, 5)
    per_neuron: bool = True
    synaptic_current: bool = True
    refractory: bool = True


def random_graph(rng: np.random.Generator, **choices) -> Graph:
    """An Input, one or two recurrent LIF or ALIF populations and an LI readout. `choices`: see `Choices`.

    `adaptations=()` gives LIF only; `per_neuron=False` equal constants within a population.
    """
    c = Choices(**choices)
    source = Input("in", _size(rng, c.max_neurons))
    hidden = [_hidden(rng, c, f"hidden{i}", source.n) for i in range(rng.integers(1, 3))]
    readout = _readout(rng, c, "out")
    projections = [_project(rng, c, source, hidden[0], mean=1.0)]
    projections += [_project(rng, c, p, p, mean=0.0) for p in hidden]
    if len(hidden) == 2:
        projections += [_project(rng, c, source, hidden[1], mean=1.0), _project(rng, c, hidden[0], hidden[1], mean=0.3)]
        if rng.random() < 0.5:
            projections.append(_project(rng, c, hidden[1], hidden[0], mean=-0.2))
    if rng.random() < 0.3:  # a second, parallel projection
        projections.append(_project(rng, c, source, hidden[-1], mean=0.2, name="parallel"))
    projections += [_project(rng, c, p, readout, mean=0.5) for p in hidden]
    order = rng.permutation(len(projections))
    dt = float(rng.choice([1e-3, 5e-4]))
    return Graph(dt, (source, *hidden, readout), tuple(projections[i] for i in order), {"made_by": "tests"})


def random_inputs(rng: np.random.Generator, graph: Graph, n_samples: int, n_steps: int, rate: float = RATE) -> Spikes:
    """Independent spikes for a graph with one Input; `rate`: probability of a spike per channel and step."""
    dense = rng.random((n_steps, n_samples, graph.inputs[0].n)) < rate
    return Spikes.from_dense(dense, graph.dt)


@st.composite
def graphs(draw: st.DrawFn, *, max_neurons: int = 8, **choices) -> Graph:
    """Valid random graphs of `choices` (see `random_graph`); shrinks towards few neurons."""
    size, seed = draw(st.integers(1, max_neurons)), draw(st.integers(0, 2**32 - 1))
    with _same_global_state():
        return random_graph(np.random.default_rng(seed), max_neurons=size, **choices)


@st.composite
def inputs(draw: st.DrawFn, graph: Graph, n_samples: int, n_steps: int) -> Spikes:
    """Input spikes at a rate of 0 to 0.5 per channel and step."""
    rate, seed = draw(st.sampled_from([0.0, 0.1, RATE, 0.3, 0.5])), draw(st.integers(0, 2**32 - 1))
    with _same_global_state():
        return random_inputs(np.random.default_rng(seed), graph, n_samples, n_steps, rate)


@contextmanager
def _same_global_state() -> Iterator[None]:
    """Hypothesis forbids strategies to use `random`, which beartype picks the items with that it checks."""
    state = random.getstate()
    yield
    random.setstate(state)


def _size(rng: np.random.Generator, most: int) -> int:
    return int(rng.integers((most + 1) // 2, most + 1))


def _constants(rng: np.random.Generator, c: Choices, n: int):
    """Draws one value a neuron, or one for all: reals, or integers between two bounds (both included)."""

    def draw(low: float, high: float) -> np.ndarray:
        size = n if c.per_neuron else 1
        values = rng.uniform(low, high, size) if c.precision == "float" else rng.integers(round(low), round(high), size, endpoint=True)
        return np.broadcast_to(values, (n,)).copy()

    return draw


def _membrane(rng: np.random.Generator, c: Choices, n: int) -> dict[str, np.ndarray]:
    """Decays, gain and bias (as a fraction of the threshold in float graphs, 0 in integer ones)."""
    draw, unit = _constants(rng, c, n), 1 if c.precision == "float" else 4096
    current = c.synaptic_current and rng.random() < 0.5
    decay_v = draw(0.6 * unit, 0.97 * unit)
    decay_u = draw(0.1 * unit, 0.7 * unit) if current else np.zeros_like(decay_v)
    if c.precision == "integer":
        return {"decay_v": decay_v, "decay_u": decay_u, "gain": np.ones(n, np.int64), "bias": draw(-64, 64)}
    gain = 1 - decay_v if rng.random() < 0.5 else draw(0.2, 1.0)
    return {"decay_v": decay_v, "decay_u": decay_u, "gain": gain, "bias": draw(-0.01, 0.01)}


def _hidden(rng: np.random.Generator, c: Choices, name: str, n_inputs: int) -> LIF:
    n, whole = _size(rng, c.max_neurons), c.precision == "integer"
    draw, membrane = _constants(rng, c, n), _membrane(rng, c, n)
    reset = str(rng.choice(c.resets))
    n_ref = rng.integers(0, 4, n if c.per_neuron else 1) if c.refractory else np.zeros(1, np.int64)
    if whole:  # the threshold that mantissas of about 40 reach, see `_project`
        drive = 40 * DENSITY * n_inputs * RATE / _leak(membrane).mean() / _leak(membrane, "decay_u").mean()
        v_th, v_reset = draw(0.8 * drive, 1.2 * drive), np.zeros(n, np.int64)
    else:
        v_th, v_reset = draw(0.5, 1.5), draw(-0.2, 0.2)
    common = {**membrane, "v_th": v_th, "v_reset": v_reset, "n_ref": np.broadcast_to(n_ref, (n,)).copy(), "reset": reset}
    adaptation = str(rng.choice(["none", *c.adaptations]))
    if adaptation == "none":
        return LIF(name, n, **common)
    unit, scale = (4096, 64 * v_th.mean()) if whole else (1, v_th.mean())
    strength = 0.4 if adaptation == "threshold" else 0.05
    slow = {"decay_a": draw(0.8 * unit, 0.99 * unit), "kappa": draw(0.1 * strength * scale, strength * scale)}
    return ALIF(name, n, **common, **slow, adaptation=adaptation)


def _readout(rng: np.random.Generator, c: Choices, name: str) -> LI:
    n = int(rng.integers(1, 4))
    return LI(name, n, **_membrane(rng, c, n))


def _leak(membrane, field: str = "decay_v") -> np.ndarray:
    """1 - decay, per neuron."""
    decay = membrane[field]
    return 1 - (decay / 4096 if decay.dtype == np.int64 else decay)


def _project(rng: np.random.Generator, c: Choices, source: Population, target: LIF | LI, *, mean: float, name: str = "") -> Projection:
    """Weights whose mean drive at the input rate is about `mean` times the target's threshold."""
    mask = rng.random((source.n, target.n)) < DENSITY
    rows, columns = np.nonzero(mask)
    n = len(rows)
    relative = mean + rng.normal(0, 0.5 if mean else 0.3, n)
    sign = int(rng.choice([0, 0, 1, -1])) if mean == 0 else 0
    relative = sign * np.abs(relative) if sign else relative
    if c.precision == "float":
        fields = {name: getattr(target, name) for name in ("decay_v", "decay_u")}
        v_th = target.v_th.mean() if isinstance(target, LIF) else 1.0
        unit = v_th * _leak(fields).mean() * _leak(fields, "decay_u").mean() / target.gain.mean() / (DENSITY * source.n * RATE)
        weights, weight_exp = np.round(relative * unit * 2**10) / 2**10, 0
    else:
        weight_exp = int(rng.integers(-2, 4))
        mantissa = np.round(relative * 40 / 2.0**weight_exp).astype(np.int64)
        weights = np.clip(mantissa, *{0: (-256, 254), 1: (0, 255), -1: (-255, 0)}[sign])
        weights = weights if sign else (weights >> 1) << 1
    signs = np.full(n, sign, np.int8) if sign else None
    return Projection(
        name or f"{source.name}->{target.name}",
        source.name,
        target.name,
        np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64),
        columns.astype(np.int64),
        weights,
        rng.integers(c.delays[0], c.delays[1], n, endpoint=True),
        weight_exp,
        signs,
    )


def plastic_graph(rng: np.random.Generator, *, rule: str = "", modulator: bool | None = None, rounding: str = "", **choices) -> Graph:
    """A random graph (see `random_graph`) whose input and first recurrent projections are plastic, by signals or by the readout."""
    graph = random_graph(rng, **{**choices, "delays": (1, 1)})
    c = Choices(**choices)
    chosen = {p.name for p in graph.projections if p.target == "hidden0" and p.source in ("in", "hidden0")}
    projections = []
    for q in graph.projections:
        if q.name in chosen:
            kind = rule or str(rng.choice(["hebbian", "modulated", "retroactive"]))
            own = rng.random() < 0.5 if modulator is None else modulator
            third = "" if kind == "hebbian" else "out" if own and graph.population("out").n == 1 else str(rng.choice(["reward", "error"]))
            make = _plastic_float if c.precision == "float" else _plastic_integer
            q = replace(q, plasticity=make(rng, q, kind, third, rounding or str(rng.choice(["nearest", "stochastic"]))))
        projections.append(q)
    return graph.replace(projections=tuple(projections))


def third_factors(rng: np.random.Generator, graph: Graph, n_samples: int, n_steps: int) -> dict[str, np.ndarray]:
    """The signals that a plastic graph asks for: one number a sample or one for each neuron, mostly 0, some beyond the limit."""
    found = {}
    for name, n in graph.third_factors.items():
        shape = (n_steps, n_samples, n) if rng.random() < 0.5 else (n_steps, n_samples)
        signal = rng.normal(0, 0.7, shape) * (rng.random(shape) < 0.3)
        found[name] = signal if graph.precision == "float" else np.rint(64 * signal).astype(np.int64)
    return found


def _plastic_float(rng: np.random.Generator, q: Projection, rule: str, third: str, _: str) -> Plasticity:
    alpha = rng.normal(0, 2 * np.abs(q.weights).mean(), q.n_synapses) if q.n_synapses else q.weights
    return Plasticity(
        rule,
        alpha,
        eta=float(rng.uniform(0.05, 0.5)),
        decay_pre=float(rng.uniform(0, 0.9)),
        decay_post=float(rng.choice([0.0, 0.7])),
        post_offset=float(rng.choice([0.0, 0.1])),
        clip=float(rng.uniform(0.2, 1.0)),
        third_factor=third,
    )


def _plastic_integer(rng: np.random.Generator, q: Projection, rule: str, third: str, rounding: str) -> Plasticity:
    """Traces of up to 127, E of 16 bits, H in 1/256: q * p is about 64 * 16."""
    fixed = FixedPoint(
        alpha_exp=int(rng.integers(-9, -4)),
        pre_step=64,
        post_step=16,
        trace_max=127,
        third_shift=int(rng.integers(4, 12)),
        change_shift={"hebbian": 12, "modulated": 8, "retroactive": 8}[rule] + int(rng.integers(0, 3)),
        eligibility_shift=int(rng.integers(0, 3)),
        eligibility_max=int(rng.choice([255, 2**15 - 1])),
        rounding=rounding,
        seed=int(rng.integers(2**31)),
    )
    return Plasticity(
        rule,
        rng.integers(-255, 255, q.n_synapses, endpoint=True),
        eta=int(rng.integers(200, 2000)),
        decay_pre=int(rng.integers(0, 3700)),
        decay_post=int(rng.choice([0, 2800])),
        post_offset=int(rng.choice([0, 2])),
        third_limit=int(rng.choice([40, 127])),
        clip=int(rng.integers(64, 257)),
        third_factor=third,
        fixed=fixed,
    )
