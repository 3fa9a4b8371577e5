"""Check and mapping of large graphs: `python -m benchmarks.chip_scale`.

Random graphs of one recurrent population in the integers of a chip: CPU time and memory of the
design-rule check (the division among cores included), of the messages between cores, and of the placement. And how far placement gets
against cores in order on three networks: neurons that reach their neighbours, layers, and an LSNN of 4,000 neurons.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from neuromorph.files import atomic_write
from neuromorph.graph import LIF, Graph, Input, Projection
from neuromorph.hardware import load_profile
from neuromorph.mapping import Mesh, check, place, traffic

RESULTS = Path(__file__).parent / "results" / "chip_scale.json"


@dataclass(frozen=True)
class Args:
    """`sizes`: neurons, synapses a neuron, chip; `smoke`: tiny sizes, to see that it runs."""

    sizes: tuple[tuple[int, int, str], ...] = (
        (10_000, 100, "loihi1"),
        (10_000, 100, "loihi2"),
        (100_000, 100, "loihi1"),
        (100_000, 100, "loihi2"),
        (120_000, 1000, "loihi2"),
    )
    smoke: bool = False
    out: Path = RESULTS


def population(n: int) -> LIF:
    return LIF.of("n", n, decay_v=3900, v_th=1000, precision="integer", reset="to_value")


def random_graph(n: int, fan_out: int, seed: int = 0) -> Graph:
    """Each neuron reaches one of every `n / fan_out` neurons in a row."""
    rng = np.random.default_rng(seed)
    gap = n // fan_out
    targets = np.arange(fan_out) * gap + rng.integers(0, gap, (n, fan_out))
    return _graph(n, targets.reshape(-1), np.arange(0, n * fan_out + 1, fan_out), rng)


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
    """CPU seconds of each part, and the highest memory of this process."""
    graph, chip = random_graph(n, fan_out), load_profile(profile)
    before = peak()
    start = time.process_time()
    report = check(graph, chip, chips=10**6)
    assert report.partition is not None
    checked = time.process_time()
    messages = traffic(graph, report.partition)
    counted = time.process_time()
    placed = place(messages, Mesh.of(chip, report.partition.n_cores))
    seconds = {"check": checked - start, "messages": counted - checked, "placement": time.process_time() - counted}
    return {
        "neurons": n,
        "synapses": graph.n_synapses,
        "profile": profile,
        "cores": report.partition.n_cores,
        "chips": placed.mesh.chips,
        "cpu_s": seconds,
        "ns_per_synapse": 1e9 * sum(seconds.values()) / graph.n_synapses,
        "memory_gb": peak(),
        "memory_of_the_graph_gb": before,
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
    ratio = found.greedy_cost / found.cost if found.cost else 1.0
    return {"network": name, "synapses": graph.n_synapses, "cores": report.partition.n_cores, "in_order": found.greedy_cost, "ratio": ratio}


def main(args: Args) -> dict[str, Any]:
    found: dict[str, Any] = {"args": {**asdict(args), "out": args.out.name}, "machine": machine(), "scale": [], "placement": []}
    for size in args.sizes:  # each in a process of its own, whose memory is its own
        code = f"import json, benchmarks.chip_scale as b; print(json.dumps(b.scale(*{size!r})))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        found["scale"].append(json.loads(done.stdout.splitlines()[-1]))
        print("{synapses:,} synapses, {profile}: {cores} cores, {cpu_s}, {memory_gb:.2f} GB".format(**found["scale"][-1]), flush=True)
    for name in NETWORKS:
        found["placement"].append(placement(name, 16 if args.smoke else 1))
        print("{network}: {cores} cores, {ratio:.2f} times fewer message hops than in order".format(**found["placement"][-1]), flush=True)
    atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    main(Args(sizes=((400, 20, "loihi1"),), smoke=True, out=given.out) if given.smoke else Args(out=given.out))
