"""Quantising, checking, mapping and counting large graphs: `python -m benchmarks.chip_scale`.

Random float graphs of one recurrent population: CPU time of one thread and memory of quantising, of the design-rule check (the division
among cores included), of the messages between cores, of the placement, and of counts with an estimate of energy. The same of an LSNN whose
spikes the fast backend records. And how far placement gets: against cores in order on three networks (neurons that reach their neighbours,
layers, and an LSNN of 4,000 neurons), and against the best of all orders of a few cores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from neuromorph import counts
from neuromorph.energy import estimate
from neuromorph.files import atomic_write
from neuromorph.graph import LIF, Graph, Input, Projection
from neuromorph.hardware import load_profile
from neuromorph.mapping import Mesh, Placement, Traffic, check, load_of, map_to_chip, place, traffic
from neuromorph.quantize import quantize
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

RESULTS = Path(__file__).parent / "results" / "chip_scale.json"
STEPS, ACTIVE = 10, 0.01
"""Of the synthetic spikes: steps, and the share of the neurons that fire at each."""
RATE = 0.02
"""Of the inputs of the LSNN, spikes a step."""


@dataclass(frozen=True)
class Args:
    """`sizes`: neurons, synapses a neuron, chip; `recorded`: neurons of the LSNN, samples, steps; `optima`: sets of cores of which all
    orders are tried; `shrink`: how many times smaller the networks are on which placement is tried.
    """

    sizes: tuple[tuple[int, int, str], ...] = (
        (10_000, 100, "loihi1"),
        (10_000, 100, "loihi2"),
        (100_000, 100, "loihi1"),
        (100_000, 100, "loihi2"),
        (120_000, 1000, "loihi2"),
    )
    recorded: tuple[int, int, int] = (2860, 64, 500)
    optima: int = 20
    shrink: int = 1
    out: Path = RESULTS


SMOKE = Args(sizes=((400, 20, "loihi1"),), recorded=(60, 2, 30), optima=2, shrink=16)


def population(n: int) -> LIF:
    return LIF.of("n", n, decay_v=3900, v_th=1000, precision="integer", reset="to_value")


def random_graph(n: int, fan_out: int, seed: int = 0) -> Graph:
    """Floats; each neuron reaches one of every `n / fan_out` neurons in a row."""
    rng = np.random.default_rng(seed)
    gap = n // fan_out
    targets = rng.integers(0, gap, (n, fan_out))
    targets += np.arange(fan_out) * gap
    weights, delays = rng.uniform(-1, 1, n * fan_out), np.ones(n * fan_out, np.int64)
    q = Projection("n->n", "n", "n", np.arange(0, n * fan_out + 1, fan_out), targets.reshape(-1), weights, delays)
    return Graph(1e-3, (Input("in", 1), LIF.of("n", n, decay_v=0.95, v_th=10.0, reset="to_value")), (q,))


def random_spikes(n: int, seed: int = 0) -> Spikes:
    rng = np.random.default_rng(seed)
    neuron = np.concatenate([np.sort(rng.choice(n, max(1, round(ACTIVE * n)), replace=False)) for _ in range(STEPS)])
    step = np.repeat(np.arange(STEPS), len(neuron) // STEPS)
    return Spikes.from_events(np.zeros_like(step), step, neuron, n_samples=1, n_steps=STEPS, n_neurons=n, dt=1e-3)


def neighbours(n: int, fan_out: int, seed: int = 0) -> Graph:
    """A sheet of neurons, in random order, each of which reaches its neighbours within a square."""
    rng = np.random.default_rng(seed)
    side, reach = int(np.sqrt(n)), int(np.sqrt(fan_out)) // 2
    number = rng.permutation(side // 8 * (side // 8))  # blocks of 8 x 8 neurons lie anywhere
    y, x = np.divmod(np.arange(side * side), side)
    offset = np.arange(-reach, reach + 1)
    ty, tx = (y[:, None, None] + offset[:, None]) % side, (x[:, None, None] + offset) % side

    def place_of(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return number[y // 8 * (side // 8) + x // 8] * 64 + y % 8 * 8 + x % 8

    order = np.argsort(place_of(y, x))
    targets = np.sort(place_of(ty, tx).reshape(side * side, -1)[order], axis=1)
    each = targets.shape[1]
    return _graph(side * side, targets.reshape(-1), np.arange(0, side * side * each + 1, each), rng)


def layers(n: int, fan_out: int, seed: int = 0) -> Graph:
    """Sixteen layers in random order, each of which reaches the next."""
    rng = np.random.default_rng(seed)
    size, order = n // 16, rng.permutation(16)
    names = [f"layer{k}" for k in order]
    neurons = tuple(LIF.of(name, size, decay_v=3900, v_th=1000, precision="integer", reset="to_value") for name in names)
    projections = []
    for k in range(15):
        weights = np.where(rng.random((size, size)) < fan_out / size, 2 * rng.integers(1, 127, (size, size)), 0)
        projections.append(Projection.from_dense(f"layer{k}", f"layer{k + 1}", weights))
    return Graph(1e-3, (Input("in", 1), *neurons), tuple(projections))


def lsnn(n: int, _: int) -> Graph:
    from benchmarks.simulation_speed import network

    return network(n, "integer")


def _graph(n: int, targets: np.ndarray, indptr: np.ndarray, rng: np.random.Generator) -> Graph:
    weights = 2 * rng.integers(1, 127, len(targets))
    q = Projection("n->n", "n", "n", indptr, targets, weights, np.ones(len(targets), np.int64))
    return Graph(1e-3, (Input("in", 1), population(n)), (q,))


NETWORKS: dict[str, tuple[Callable[[int, int], Graph], int, int]] = {
    "sheet of neighbours": (neighbours, 128 * 128, 81),
    "sixteen layers": (layers, 16 * 512, 64),
    "LSNN": (lsnn, 4000, 0),
}


def scale(n: int, fan_out: int, profile: str) -> dict[str, Any]:
    """CPU seconds and nanoseconds a synapse of each part, and the highest memory of this process."""
    floats, chip, cpu = random_graph(n, fan_out), load_profile(profile), Clock()
    synapses, before = floats.n_synapses, peak()
    with cpu("quantise"):
        graph, _ = quantize(floats, chip)
    with cpu("check"):
        report = check(graph, chip, chips=10**6)
    assert report.partition is not None
    with cpu("messages"):
        messages = traffic(graph, report.partition)
    with cpu("placement"):
        placed = place(messages, Mesh.of(chip, report.partition.n_cores))
    fired, nothing = random_spikes(n), Spikes.from_dense(np.zeros((STEPS, 1, 1)), 1e-3)
    recording = Recording("", "integer", graph.digest(), graph.dt, 1, STEPS, {"n": fired}, {})
    with cpu("energy"):
        energy = estimate(counts.count(graph, nothing, recording), graph, chip)
    return {
        "neurons": n,
        "synapses": synapses,
        "profile": profile,
        "cores": report.partition.n_cores,
        "chips": placed.mesh.chips,
        **cpu.told(synapses),
        "joules": energy.total.nominal,
        "memory_gb": peak(),
        "memory_of_the_graph_gb": before,
    }


class Clock:
    """CPU seconds of this process by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[part] = time.process_time() - start

    def told(self, synapses: int) -> dict[str, Any]:
        """With their sum, and nanoseconds a synapse."""
        seconds = self.seconds | {"all": sum(self.seconds.values())}
        return {"cpu_s": seconds, "ns_per_synapse": {part: 1e9 * each / synapses for part, each in seconds.items()}}


def recorded(n: int, samples: int, steps: int) -> dict[str, Any]:
    """An LSNN on Loihi 2 by the spikes that the fast backend counts: CPU seconds, firing rates, messages, hops, those of cores in order."""
    from benchmarks.simulation_speed import N_IN, network
    from neuromorph.backends.fast import FastBackend

    floats, chip, cpu = network(n, "float"), load_profile("loihi2"), Clock()
    rng, synapses = np.random.default_rng(0), floats.n_synapses
    inputs = Spikes.from_dense(rng.random((steps, samples, N_IN)) < RATE, 1e-3)
    with cpu("quantise"):
        graph, _ = quantize(floats, chip)
    FastBackend().summarise(graph, inputs.select([0]))  # compiles
    start = time.process_time()
    summary = FastBackend().summarise(graph, inputs)
    simulation = time.process_time() - start
    spikes = summary.mean_spikes()
    with cpu("map"):
        found, _ = map_to_chip(graph, chip, spikes)
    with cpu("counts"):
        counted = counts.of_summary(graph, summary)
    with cpu("load"):
        load = load_of(graph, found, spikes, chip)
    with cpu("energy"):
        energy = estimate(counted, graph, chip, load=load)
    return {
        "synapses": synapses,
        "samples": samples,
        "steps": steps,
        "cores": load.cores,
        **cpu.told(synapses),
        "simulation_cpu_s": simulation,
        "rates_hz": dict(counted.rates),
        "messages": load.messages,
        "hops": load.hops_ew + load.hops_ns,
        "hops_in_order": found.placement.greedy_cost,
        "ratio": ratio(found.placement),
        "joules": energy.total.nominal,
        "memory_gb": peak(),
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def placement(name: str, shrink: int) -> dict[str, Any]:
    """Messages times hops on Loihi 1, against cores in order."""
    make, n, fan_out = NETWORKS[name]
    graph, chip = make(n // shrink, max(fan_out // shrink, 9)), load_profile("loihi1")
    report = check(graph, chip, chips=10**6)
    assert report.partition is not None
    found = place(traffic(graph, report.partition), Mesh.of(chip, report.partition.n_cores))
    cores = report.partition.n_cores
    return {"network": name, "synapses": graph.n_synapses, "cores": cores, "in_order": found.greedy_cost, "ratio": ratio(found)}


def ratio(found: Placement) -> float:
    """Message hops of cores in order over those of the placement."""
    return found.greedy_cost / found.cost if found.cost else 1.0


def networks(of_recorded: tuple[int, int, int], shrink: int) -> dict[str, Any]:
    """The recorded LSNN, and placement on each of the networks."""
    return {"recorded": recorded(*of_recorded), "placement": [placement(name, shrink) for name in NETWORKS]}


def optimum(cases: int) -> dict[str, Any]:
    """Message hops of placements over those of the best of all orders: eight cores of random traffic, one a tile of 4 x 2."""
    mesh, orders = Mesh(4, 2, 1), np.array(list(permutations(range(8))))
    hops, ratios = np.add(*mesh.hops(np.arange(8)[:, None], np.arange(8))), []
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        found = Traffic(np.floor(rng.gamma(0.5, 20, (8, 8))), np.floor(rng.gamma(0.5, 10, 8)))
        cost = hops[0][orders] @ found.entering
        for a, b in permutations(range(8), 2):
            cost += found.between[a, b] * hops[orders[:, a], orders[:, b]]
        ratios.append(place(found, mesh).cost / float(cost.min()))
    return {"cases": cases, "mean": float(np.mean(ratios)), "worst": max(ratios)}


def alone(call: str) -> dict[str, Any]:
    """What a function of this module returns, in a process of its own, whose memory is its own, with one thread."""
    code = f"import json, benchmarks.chip_scale as b; print(json.dumps(b.{call}))"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads})
    return json.loads(done.stdout.splitlines()[-1])


def main(args: Args) -> dict[str, Any]:
    found: dict[str, Any] = {"args": {**asdict(args), "out": args.out.name}, "machine": machine(), "scale": []}
    for size in args.sizes:
        found["scale"].append(alone(f"scale(*{size!r})"))
        print("{synapses:,} synapses, {profile}: {cores} cores, {cpu_s}, {memory_gb:.2f} GB".format(**found["scale"][-1]), flush=True)
    found |= alone(f"networks({args.recorded!r}, {args.shrink})")
    print("LSNN: {cores} cores, {cpu_s}, {rates_hz} Hz, {ratio:.2f} times fewer message hops".format(**found["recorded"]), flush=True)
    for row in found["placement"]:
        print("{network}: {cores} cores, {ratio:.2f} times fewer message hops than in order".format(**row), flush=True)
    found["optimum"] = optimum(args.optima)
    print("of {cases}: {mean:.4f} times the best of all orders, {worst:.4f} at worst".format(**found["optimum"]), flush=True)
    atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    main(replace(SMOKE if given.smoke else Args(), out=given.out))
