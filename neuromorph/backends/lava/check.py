"""A run small enough to work by hand, through Lava's unmodified LIF and Sparse: does this Lava compute what it should?"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.lava import launch
from neuromorph.backends.lava.backend import LavaBackend, simulate
from neuromorph.backends.lava.netlist import Netlist, Process, lower, trace_file
from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF, Input
from neuromorph.graph.projections import Projection
from neuromorph.spikes import Spikes

HAND_WORKED = [(3, 0), (4, 1), (8, 0), (9, 1), (13, 0), (14, 1)]
STOCK_ARGUMENTS = ("n", "du", "dv", "vth")


def two_neurons() -> tuple[Graph, Spikes]:
    """Neuron 0 is driven in every step and excites neuron 1, which inhibits it; 16 steps.

    v halves every step, the threshold is 150 << 6 = 9600 and the input 100 << 6 = 6400. Neuron 0: 6400, 9600 (not above
    the threshold), 11200 (spike at step 3), then 6400; neuron 1 gets 254 << 6 = 16256 at step 4 and spikes, which takes
    256 << 6 off neuron 0 at step 5: 3200 + 6400 - 16384 = -6784, 3008, 7904, 10352 (spike at step 8). From step 9 it repeats.
    """
    neurons = LIF.of("lif", 2, decay_v=2048, v_th=150, reset="to_value", precision="integer")
    drive = Projection.from_dense("in", "lif", np.array([[100, 0]]))
    loop = Projection.from_dense("lif", "lif", np.array([[0, 254], [-256, 0]]))
    graph = Graph(1e-3, (Input("in", 1), neurons), (drive, loop))
    return graph, Spikes.from_dense(np.ones((16, 1, 1), dtype=np.bool_), graph.dt)


def as_stock(netlist: Netlist) -> Netlist:
    """The netlist with Lava's own LIF process in place of ours; right for a single sample."""

    def plain(p: Process) -> Process:
        if p.kind != "SampledLIF":
            return p
        return Process(p.name, "LIF", {x: p.arguments[x] for x in STOCK_ARGUMENTS}, p.arrays)

    return dataclasses.replace(netlist, processes=tuple(plain(p) for p in netlist.processes))


def self_test(python: str | None = None) -> str | None:
    """None if Lava's LIF and Sparse give the numbers worked by hand, else what went wrong."""
    backend = LavaBackend(python=python or launch.interpreter())
    if reason := backend.available():
        return reason
    graph, spikes = two_neurons()
    try:
        with tempfile.TemporaryDirectory(prefix="neuromorph-lava-") as folder:
            simulate(backend.python, as_stock(lower(graph, {"in": spikes}, Kept(("lif",), ()))), Path(folder), 120.0, 1)
            raster = np.load(Path(folder) / trace_file(graph, "lif", "z"), allow_pickle=False)
    except BackendError as error:
        return str(error)
    found = [(int(step), int(neuron)) for step, neuron in np.argwhere(raster)]
    return None if found == HAND_WORKED else f"Lava's LIF spiked at (step, neuron) {found}; worked by hand: {HAND_WORKED}."
