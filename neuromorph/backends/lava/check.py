"""Does this Lava compute what it should? Small runs through every kind of process, in both precisions.

Lava's unmodified LIF and Sparse must give numbers worked by hand; our own processes those of the reference simulator, in two
calls of one session.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.lava.backend import LavaBackend
from neuromorph.backends.lava.filenames import input_file, place, trace_file
from neuromorph.backends.lava.netlist import Netlist, Process, lower
from neuromorph.backends.lava.network import Network, load_samples
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import FixedPoint, Plasticity, PlasticityRule
from neuromorph.graph.populations import ALIF, LI, LIF, Input
from neuromorph.graph.projections import Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

HAND_WORKED = [(3, 0), (4, 1), (8, 0), (9, 1), (13, 0), (14, 1)]
STOCK_ARGUMENTS = ("n", "du", "dv", "vth")
TOLERANCE = 1e-9  # of floats, whose sums Lava takes in another order

Precision: TypeAlias = Literal["integer", "float"]
Part: TypeAlias = Callable[[LavaBackend, Precision], str | None]


@dataclass(frozen=True)
class Check:
    """One part of the self-test; `finding`: what is wrong, None if nothing."""

    name: str
    precision: str
    finding: str | None


def self_test(python: str | None = None) -> tuple[Check, ...]:
    """Run every check with the Lava of the interpreter `python` (default: as `LavaBackend`). Takes some seconds.

    Where Lava is not installed the one check returned says so.
    """
    backend = LavaBackend(python=python)
    if reason := backend.available():
        return (Check("installed", "-", reason),)
    parts: tuple[tuple[str, Part], ...] = (
        ("Lava's own LIF and Sparse", _stock),
        ("our own processes", _own),
        ("plastic synapses", _plastic),
    )
    precisions: tuple[Precision, ...] = ("integer", "float")
    return tuple(Check(name, precision, _finding(part, backend, precision)) for name, part in parts for precision in precisions)


def _finding(part: Part, backend: LavaBackend, precision: Precision) -> str | None:
    try:
        return part(backend, precision)
    except BackendError as error:
        return str(error)


def two_neurons(precision: Precision = "integer") -> tuple[Graph, Spikes]:
    """Neuron 0 is driven in every step and excites neuron 1, which inhibits it; 16 steps.

    v halves every step, the threshold is 150 << 6 = 9600 and the input 100 << 6 = 6400. Neuron 0: 6400, 9600 (not above
    the threshold), 11200 (spike at step 3), then 6400; neuron 1 gets 254 << 6 = 16256 at step 4 and spikes, which takes
    256 << 6 off neuron 0 at step 5: 3200 + 6400 - 16384 = -6784, 3008, 7904, 10352 (spike at step 8). From step 9 it repeats.
    In floats everything is a 64th of that, and exact.
    """
    integer = precision == "integer"
    decay_v, v_th = (2048, 150) if integer else (0.5, 150.0)
    neurons = LIF.of("lif", 2, decay_v=decay_v, v_th=v_th, gain=1, reset="to_value", precision=precision)
    dtype = np.int64 if integer else np.float64
    drive = Projection.from_dense("in", "lif", np.array([[100, 0]], dtype=dtype))
    loop = Projection.from_dense("lif", "lif", np.array([[0, 254], [-256, 0]], dtype=dtype))
    graph = Graph(1e-3, (Input("in", 1), neurons), (drive, loop))
    return graph, Spikes.from_dense(np.ones((16, 1, 1), dtype=np.bool_), graph.dt)


def as_stock(netlist: Netlist) -> Netlist:
    """The netlist with Lava's own LIF process and a sink in place of each `SampledLIF`; right for a single sample."""
    replaced = [p for p in netlist.processes if p.kind == "SampledLIF"]
    plain = [Process(p.name, "LIF", {x: p.arguments[x] for x in STOCK_ARGUMENTS}, p.arrays) for p in replaced]
    sinks = [Process(f"{p.name}.z", "FileSink", {x: p.arguments[x] for x in ("n", "record", "saturations")}) for p in replaced]
    return replace(
        netlist,
        processes=(*(p for p in netlist.processes if p.kind != "SampledLIF"), *plain, *sinks),
        connections=(*netlist.connections, *((p.name, "s_out", f"{p.name}.z", "a_in") for p in replaced)),
    )


def stock_raster(graph: Graph, spikes: Spikes, python: str) -> np.ndarray:
    """Spikes [n_steps, n] of the population "lif" in Lava's unmodified processes, for one sample of the population "in"."""
    network = Network(python, as_stock(lower(graph, Kept(("lif",), ()))))
    try:
        with network.run({input_file(graph, "in"): spikes}, spikes.n_steps, 1) as folder:
            return next(load_samples(folder / trace_file(place(graph, "lif"), "z"), 1))
    finally:
        network.close()


def _stock(backend: LavaBackend, precision: Precision) -> str | None:
    raster = stock_raster(*two_neurons(precision), backend.python)
    found = [(int(step), int(neuron)) for step, neuron in np.argwhere(raster)]
    return None if found == HAND_WORKED else f"Lava's LIF spiked at (step, neuron) {found}; worked by hand: {HAND_WORKED}."


def every_process(precision: Precision) -> Graph:
    """Our version of Lava's LIF, adaptive neurons, a readout, synapses with and without delays."""
    integer = precision == "integer"
    rng = np.random.default_rng(0)

    def project(source: str, target: str, delays: int = 1) -> Projection:
        shape = sizes[source], sizes[target]
        weights = rng.integers(-40, 60, shape) * 2
        return Projection.from_dense(source, target, weights if integer else weights / 256, delays=rng.integers(1, delays + 1, shape))

    def scaled(factor: float, unit: int):
        return round(factor * unit) if integer else factor

    membrane = {"decay_v": scaled(0.9, 4096), "v_th": scaled(1.0, 256), "gain": 1, "precision": precision}
    populations = (
        Input("in", 6),
        LIF.of("lif", 8, reset="to_value", **membrane),
        ALIF.of("alif", 8, decay_a=scaled(0.98, 4096), kappa=scaled(0.05, 256 * 64), n_ref=2, **membrane),
        LI.of("out", 2, decay_v=scaled(0.95, 4096), precision=precision),
    )
    sizes = {p.name: p.n for p in populations}
    wiring = project("in", "lif"), project("in", "alif", 4), project("lif", "alif"), project("alif", "alif", 3), project("alif", "out")
    return Graph(1e-3, populations, wiring)


def plastic_processes(precision: Precision) -> Graph:
    """Plastic synapses beside fixed ones: a recurrent loop modulated by a readout, and an input by the signal "reward"."""
    whole = precision == "integer"
    rng = np.random.default_rng(2)

    def learning(projection: Projection, rule: PlasticityRule, third_factor: str) -> Projection:
        if not whole:
            alpha = rng.normal(size=projection.n_synapses) / 4
            return replace(projection, plasticity=Plasticity(rule, alpha, 0.3, 0.7, 1.0, third_factor, 1.0, 0.5, 0.1))
        fixed = FixedPoint(-5, 64, 16, 127, 4, 8, 1, 2**15 - 1, "stochastic", 5)
        alpha = rng.integers(-255, 256, projection.n_synapses)
        return replace(projection, plasticity=Plasticity(rule, alpha, 1200, 2900, 255, third_factor, 60, 2000, 2, fixed))

    def project(source: str, target: str, low: int, high: int) -> Projection:
        weights = rng.integers(low, high, (sizes[source], sizes[target])) * 2
        return Projection.from_dense(source, target, weights if whole else weights / 256)

    decay_v, v_th = (3700, 150) if whole else (0.9, 0.6)
    lif = LIF.of("lif", 8, decay_v=decay_v, v_th=v_th, n_ref=1, gain=1, precision=precision)
    populations = (Input("in", 6), lif, LI.of("out", 1, decay_v=decay_v, precision=precision))
    sizes = {p.name: p.n for p in populations}
    drive = learning(project("in", "lif", -10, 60), "retroactive", "reward")
    loop = learning(project("lif", "lif", -40, 40), "modulated", "out")
    return Graph(1e-3, populations, (drive, loop, project("lif", "out", -9, 10)))


def _own(backend: LavaBackend, precision: Precision) -> str | None:
    return _compared(backend, every_process(precision), ("lif", "alif"))


def _plastic(backend: LavaBackend, precision: Precision) -> str | None:
    return _compared(backend, plastic_processes(precision), ("lif", "in->lif", "lif->lif"))


def _compared(backend: LavaBackend, graph: Graph, kept: tuple[str, ...]) -> str | None:
    rng = np.random.default_rng(1)
    with backend.session(graph, states=kept) as session:
        for n_steps, n_samples in ((30, 2), (20, 1)):
            inputs, third = stimuli(rng, graph, n_steps, n_samples)
            wanted = ReferenceBackend().run(graph, inputs, states=kept, third_factors=third)
            if not _alike(session.run(inputs, third_factors=third), wanted):
                return f"A network of our own processes does not compute what the reference does (call of {n_samples} samples)."
    return None


def stimuli(rng: np.random.Generator, graph: Graph, n_steps: int, n_samples: int) -> tuple[Spikes, dict[str, np.ndarray]]:
    """Spikes of the one Input, and a signal for every third factor."""
    inputs = Spikes.from_dense(rng.random((n_steps, n_samples, graph.inputs[0].n)) < 0.3, graph.dt)
    whole = graph.precision == "integer"
    shape = n_steps, n_samples
    return inputs, {name: rng.integers(-64, 65, shape) if whole else rng.normal(size=shape) for name in graph.third_factors}


def _alike(found: Recording, wanted: Recording) -> bool:
    """The same spikes, and equal traces (floats: within `TOLERANCE`)."""
    pairs = [(found.readouts[name], trace) for name, trace in wanted.readouts.items()]
    pairs += [(found.states[name][x], trace) for name, traces in wanted.states.items() for x, trace in traces.items()]
    tolerance = TOLERANCE if wanted.precision == "float" else 0.0
    return found.spikes == wanted.spikes and all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)
