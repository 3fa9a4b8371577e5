"""The same task on conventional machines: dense networks and LSTMs by their multiply-accumulates and memory accesses.

Dense networks are counted as Lemaire et al. 2022 (arXiv:2210.13107) count a fully connected layer: each weight is read once a pass,
inputs and outputs are read and written once, accumulators stay in registers. Weights and activations are int8 (one byte), biases and cell
states int32; energies of arithmetic and of 64-bit memory accesses are Horowitz's (ISSCC 2014), in the profile `cmos45_int8_mem`. Energies
of processors are measured ones per multiply-accumulate (`gpu_cpu_reference`); batched figures hold for large batches only.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import count as count_up
from typing import Any

from neuromorph.counts import Counts
from neuromorph.energy.memory import memory, price_with_memory
from neuromorph.energy.terms import Interval
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LI
from neuromorph.hardware import load_profile

PROCESSORS = {
    "mac_cpu_batch1": "CPU, one sample at a time",
    "mac_gpu_batch1": "GPU, one sample at a time",
    "mac_cpu_batched": "CPU, large batches",
    "mac_gpu_batched": "GPU, large batches",
    "mac_arm_batched": "ARM, large batches",
}
BYTES = 8  # of an access
WIDE = 4  # bytes of a bias or a cell state


@dataclass(frozen=True)
class Dense:
    """A network that is computed in full at every pass.

    Of one pass: `macs`; `multiplications` element by element; `activations` that are read or written (1 byte each); `states`, cell states
    read or written (4 bytes each). `parameters`, `biases` among them. `passes` an inference.
    """

    name: str
    macs: int
    multiplications: int
    activations: int
    states: int
    parameters: int
    biases: int
    passes: int


@dataclass(frozen=True)
class Comparator:
    """Energy of one inference [J] of `network` on `machine`; `quantities`: the numbers it rests on, profile and name."""

    network: str
    machine: str
    macs: int
    energy: Interval
    quantities: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Lstm:
    """An LSTM (one bias a gate) with a linear readout: `units`, `inputs` a step, `steps` an inference.

    Raises:
        EnergyUnavailable: a number below 1.
    """

    units: int
    inputs: int
    steps: int

    def __post_init__(self) -> None:
        if min(self.units, self.inputs, self.steps) < 1:
            raise EnergyUnavailable(f"LSTM: {self.units} units, {self.inputs} inputs, {self.steps} steps; give 1 or more of each.")

    def dense(self, classes: int) -> Dense:
        """As counted: 4 H (H + I) multiply-accumulates a step (the readout's, once an inference, are left out), 3 H products of gates."""
        h, i = self.units, self.inputs
        weights, biases = 4 * h * (h + i), 4 * h
        readout = h * classes + classes
        name = f"LSTM of {h} units ({weights + biases + readout:,} parameters)"
        return Dense(name, weights, 3 * h, i + 2 * h, 2 * h, weights + biases + readout, biases + classes, self.steps)


def dense_network(graph: Graph, n_steps: int) -> Dense:
    """The graph with every synapse that its projections have room for, without spikes: recurrent graphs compute each step, others
    need one pass for the whole inference.
    """
    pairs = {(q.source, q.target) for q in graph.projections}
    size = {p.name: p.n for p in graph.populations}
    macs = sum(size[a] * size[b] for a, b in pairs)
    activations = sum(size[a] for a, _ in pairs) + graph.n_neurons
    passes = n_steps if _recurrent(pairs) else 1
    name = f"this network, dense and without spikes ({macs:,} synapses)"
    return Dense(name, macs, 0, activations, 0, macs + graph.n_neurons, graph.n_neurons, passes)


def equal_lstm(graph: Graph, n_steps: int) -> Lstm:
    """The LSTM with the graph's inputs whose parameters come closest to those of the graph were it dense."""
    wanted, inputs, classes = dense_network(graph, n_steps).parameters, sum(p.n for p in graph.inputs), _classes(graph)

    def excess(units: int) -> int:
        return Lstm(units, inputs, n_steps).dense(classes).parameters - wanted

    above = next(units for units in count_up(1) if excess(units) >= 0)
    return Lstm(min((max(above - 1, 1), above), key=lambda units: abs(excess(units))), inputs, n_steps)


def comparators(counts: Counts, graph: Graph, lstm: Lstm | None = None) -> tuple[Comparator, ...]:
    """The mean inference of a counted run on conventional terms: this network's spikes by the naive proxy and with memory accesses; the
    dense network and an LSTM (by default of equal parameters) in fp32 and int8 arithmetic, with memory, and on processors.
    """
    networks = dense_network(graph, counts.n_steps), (lstm or equal_lstm(graph, counts.n_steps)).dense(_classes(graph))
    return (*_spiking(counts, graph), *(found for network in networks for found in of_dense(network)))


def _spiking(counts: Counts, graph: Graph) -> Iterator[Comparator]:
    synops = sum(counts.per_inference()["synops"].values())
    name = f"this network, spiking ({graph.n_synapses:,} synapses)"
    addition = load_profile("cmos45_fp32").energy["synop"]
    yield Comparator(name, "naive: one fp32 addition a synaptic operation", 0, Interval.of(addition, synops), ("cmos45_fp32 energy.synop",))
    terms = price_with_memory(counts, graph, load_profile("cmos45_int8_mem"))
    energy = Interval(*(sum(getattr(t, end) for t in terms) for end in ("lo", "nominal", "hi")))
    used = tuple(dict.fromkeys(f"cmos45_int8_mem {t.quantity}" for t in terms))
    yield Comparator(name, "int8 with SRAM (Lemaire 2022)", 0, energy, used)


def of_dense(network: Dense) -> Iterator[Comparator]:
    """One network on every machine."""
    macs, paper = network.macs * network.passes, load_profile("cmos45_int8_mem")
    fp32, int8 = load_profile("cmos45_fp32").energy["mac"], paper.energy["mac_int8"]
    yield Comparator(network.name, "fp32 arithmetic alone", macs, Interval.of(fp32, macs), ("cmos45_fp32 energy.mac",))
    yield Comparator(network.name, "int8 arithmetic alone", macs, Interval.of(int8, macs), ("cmos45_int8_mem energy.mac_int8",))
    used = tuple(f"cmos45_int8_mem energy.{name}" for name in ("mac_int8", "mul_int32", "sram"))
    yield Comparator(network.name, "int8 with SRAM (Lemaire 2022)", macs, _with_memory(network), used)
    for name, machine in PROCESSORS.items():
        energy = Interval.of(load_profile("gpu_cpu_reference").energy[name], macs)
        yield Comparator(network.name, machine, macs, energy, (f"gpu_cpu_reference energy.{name}",))


def _with_memory(network: Dense) -> Interval:
    paper = load_profile("cmos45_int8_mem")
    narrow = network.parameters - network.biases
    weights = memory(paper, narrow + WIDE * network.biases)
    cells = memory(paper, network.activations + WIDE * network.states)
    read = network.macs + WIDE * network.biases  # bytes of parameters that a pass reads
    moved = network.activations + WIDE * network.states
    each = (
        Interval.of(paper.energy["mac_int8"], network.macs),
        Interval.of(paper.energy["mul_int32"], network.multiplications),
        Interval.of(weights, read / BYTES),
        Interval.of(cells, moved / BYTES),
    )
    return sum(each, Interval.exactly(0)) * Interval.exactly(network.passes)


def _recurrent(pairs: set[tuple[str, str]]) -> bool:
    """Whether any population reaches itself."""
    order = TopologicalSorter[str]()
    for source, target in pairs:
        order.add(target, source)
    try:
        order.prepare()
    except CycleError:
        return True
    return False


def _classes(graph: Graph) -> int:
    """Readout neurons; of a graph without, the neurons of the last population."""
    readouts = [p.n for p in graph.neurons if isinstance(p, LI)]
    return sum(readouts) if readouts else graph.neurons[-1].n
