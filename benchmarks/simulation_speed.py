"""Speed and memory of the simulators on one network: `python -m benchmarks.simulation_speed`.

An LSNN of 220 neurons (66 excitatory, 54 inhibitory, 100 adaptive, refractory for 5 steps) with 80 inputs at 5 % a step, 12 % of the
synapses, 10 readouts, 840 steps; and larger ones of the same make. The simulators take turns on one processor. Time is CPU time of the
process (of Lava, whose network stays up in processes of its own, of them all), for spikes and readouts of every sample as a `Recording`; a
ratio is the median over rounds of one simulator's time a sample over that of `fast` in the same round. `fast_counts` is `fast` where
spikes are counted, with synaptic operations and active updates, and not kept.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results" / "simulation_speed.json"
STEPS, N_IN, RATE, DENSITY = 840, 80, 0.05, 0.12


@dataclass(frozen=True)
class Args:
    """`rounds` of each comparison; `smoke`: tiny sizes, to see that it runs."""

    rounds: int = 5
    smoke: bool = False
    out: Path = RESULTS


@dataclass(frozen=True)
class Case:
    """`n` neurons at a precision; `samples` of each simulator, so many that a run takes about a second."""

    n: int
    precision: str
    samples: dict[str, int]
    steps: int = STEPS


def cases(smoke: bool) -> list[Case]:
    if smoke:
        return [Case(20, "integer", {"fast": 4, "fast_counts": 4, "reference": 2, "brian2": 2}, steps=30)]
    return [
        Case(220, "integer", {"fast": 1000, "fast_counts": 1000, "reference": 64, "brian2": 32, "lava": 1}),
        Case(220, "float", {"fast": 1000, "fast_counts": 1000, "reference": 64, "brian2": 32}),
        Case(1000, "integer", {"fast": 200, "fast_counts": 200, "reference": 16, "brian2": 32}),
        Case(4000, "integer", {"fast": 32, "fast_counts": 32, "reference": 2}),
    ]


def network(n: int, precision: str) -> Any:
    """The graph."""
    import torch

    from neuromorph.hardware import load_profile
    from neuromorph.quantize import quantize
    from neuromorph.train.export import export
    from neuromorph.train.lsnn_config import LSNNConfig
    from neuromorph.train.sparse_network import SparseLSNN

    n_adaptive, n_inhibitory = round(n * 100 / 220), round(n * 54 / 220)
    config = LSNNConfig(n - n_adaptive - n_inhibitory, n_inhibitory, n_adaptive, tau_a=0.7, n_ref=5, max_input_delay=1)
    model = SparseLSNN(config, N_IN, 10, connectivity=DENSITY, generator=torch.Generator().manual_seed(0))
    graph = export(model)
    return graph if precision == "float" else quantize(graph, load_profile("loihi2"))[0]


def spikes(samples: int, steps: int) -> Any:
    from neuromorph.spikes import Spikes, join_spikes

    rng = np.random.default_rng(0)
    return join_spikes([Spikes.from_dense(rng.random((steps, 1, N_IN)) < RATE, 1e-3) for _ in range(samples)])


def cpu() -> float:
    """CPU seconds of this process and of all below it, those that have ended too."""
    ended = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return ended + sum(sum(p.cpu_times()[:2]) for p in psutil.Process().children(recursive=True))


@contextmanager
def simulator(name: str, graph: Any) -> Iterator[Callable[[Any], Any]]:
    """From spikes to what a simulator makes of them; Lava's network stays up."""
    from neuromorph.backends.lava import LavaBackend

    if name != "lava":
        yield lambda x: simulate(name, graph, x)
        return
    with LavaBackend().session(graph) as session:
        yield session.run


def simulate(name: str, graph: Any, x: Any) -> Any:
    from neuromorph.backends import backend
    from neuromorph.backends.fast import FastBackend
    from neuromorph.counts import of_summary

    return of_summary(graph, FastBackend().summarise(graph, x)) if name == "fast_counts" else backend(name).run(graph, x)


def compare(case: Case, rounds: int) -> dict[str, Any]:
    """CPU seconds a sample of each simulator, and ratios to `fast`."""

    graph = network(case.n, case.precision)
    x = spikes(max(case.samples.values()), case.steps)
    counted = simulate("fast_counts", graph, x.select(range(min(8, x.n_samples))))
    synops = sum(counted.per_inference()["synops"].values())
    times: dict[str, list[float]] = {name: [] for name in case.samples}
    with ExitStack() as stack:
        run = {name: stack.enter_context(simulator(name, graph)) for name in case.samples}
        for number in range(rounds + 1):
            for name, n in case.samples.items():
                start = cpu()
                run[name](x.select(range(n)))
                if number:  # the first round compiles, and builds networks
                    times[name].append((cpu() - start) / n)
    ratios = {name: np.array(t) / np.array(times["fast"]) for name, t in times.items() if name != "fast"}
    return {
        "case": asdict(case),
        "synapses": graph.n_synapses,
        "synops_per_sample": synops,
        "spikes_per_neuron_and_step": sum(counted.per_inference()["spikes"][p.name] for p in graph.neurons if p.name in counted.spikes)
        / (case.n * case.steps),
        "sample_steps_per_s": {name: case.steps / float(np.median(t)) for name, t in times.items()},
        "synops_per_s": {name: synops / float(np.median(t)) for name, t in times.items()},
        "ratio": {name: {"median": float(np.median(r)), "low": float(r.min()), "high": float(r.max())} for name, r in ratios.items()},
    }


def whole_set(samples: int, steps: int, rounds: int) -> dict[str, Any]:
    """CPU seconds (median and range) and peak memory [MB] beyond the input (all arrays, by tracemalloc) of `fast_counts` on a whole data
    set, alone.
    """
    code = f"import benchmarks.simulation_speed as b; b.measure({samples}, {steps}, {rounds})"
    return json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measure(samples: int, steps: int, rounds: int) -> None:
    """Print the time and memory of runs on `samples`."""
    one_processor()
    graph, x = network(220, "integer"), spikes(samples, steps)
    simulate("fast_counts", graph, x.select(range(min(64, samples))))
    tracemalloc.start()
    simulate("fast_counts", graph, x)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    seconds = []
    for _ in range(rounds):
        start = cpu()
        simulate("fast_counts", graph, x)
        seconds.append(cpu() - start)
    times = {"median": float(np.median(seconds)), "low": min(seconds), "high": max(seconds)}
    print(json.dumps({"samples": samples, "steps": steps, "cpu_s": times, "memory_mb": peak}))


def one_processor() -> None:
    """The last processor this process may use, and one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main(args: Args) -> dict[str, Any]:
    one_processor()
    found: dict[str, Any] = {"args": {**asdict(args), "out": args.out.name}, "machine": machine(), "speed": {}}
    for case in cases(args.smoke):
        name = f"N={case.n} {case.precision}"
        row = found["speed"][name] = compare(case, args.rounds)
        save(found, args.out)
        ratios = "  ".join(f"{peer} x{r['median']:.3g} [{r['low']:.3g}-{r['high']:.3g}]" for peer, r in row["ratio"].items())
        print(
            f"{name:16} {row['sample_steps_per_s']['fast']:.3g} sample-steps/s  {row['synops_per_s']['fast']:.3g} synops/s   {ratios}",
            flush=True,
        )
    found["whole_set"] = whole_set(*((20, 30) if args.smoke else (10_000, STEPS)), args.rounds)
    print(found["whole_set"], flush=True)
    save(found, args.out)
    plot(found, args.out.with_suffix(".png"))
    return found


def save(found: dict[str, Any], path: Path) -> None:
    """After every case, so that a run that is stopped leaves what it has."""
    from neuromorph.files import atomic_write

    atomic_write(path, (json.dumps(found, indent=1) + "\n").encode())


def plot(found: dict[str, Any], path: Path) -> None:
    """Sample-steps a second of each simulator, a group of bars for each network."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    names = list(dict.fromkeys(name for row in found["speed"].values() for name in row["sample_steps_per_s"]))
    for place, name in enumerate(names):
        bars = [(k + place * 0.16, row["sample_steps_per_s"].get(name)) for k, row in enumerate(found["speed"].values())]
        at, height = zip(*[(x, value) for x, value in bars if value])
        axes.bar(at, height, 0.15, label=name)
    axes.set_yscale("log")
    axes.set_xticks([k + 0.32 for k in range(len(found["speed"]))], list(found["speed"]))
    axes.set_ylabel("sample-steps / s of one processor")
    axes.legend(frameon=False, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=Args.rounds)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    main(Args(**vars(parser.parse_args())))
