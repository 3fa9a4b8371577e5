"""Time and memory of training plastic networks against PyTorch's autograd of the same equations: `python -m benchmarks.plastic_speed`.

A step of training is an episode of given inputs, a loss on all hidden states, and its gradients. "autograd" is this package's own
loop over `PlasticCore.step` on whole tensors, which keeps every H for the backward pass; "kernels" is `Episode`, step by step as
with an environment inside. Both on one thread of one processor, taking turns; time is CPU time of the process. A ratio is the
median over rounds. Memory is the peak of a process of its own above what it held after a short episode.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.training_speed import one_thread

RESULTS = Path(__file__).parent / "results" / "plastic_speed.json"
WAYS = ("kernels", "autograd")


@dataclass(frozen=True)
class Args:
    """`rounds` of each comparison; `smoke`: tiny sizes, to see that it runs."""

    rounds: int = 5
    smoke: bool = False
    out: Path = RESULTS


@dataclass(frozen=True)
class Workload:
    """`cell` "rnn" or "lstm" of `n` neurons with a `rule`, over `steps` for `batch` episodes at once."""

    cell: str = "rnn"
    rule: str = "modulated"
    n: int = 64
    steps: int = 90
    batch: int = 32
    n_in: int = 25


def workloads(smoke: bool) -> dict[str, Workload]:
    if smoke:
        return {"tiny": Workload(n=6, steps=5, batch=2)}
    rules = ("hebbian", "modulated", "retroactive")
    return {
        **{f"cue-reward, N=64 T=90 B=32, {rule}": Workload(rule=rule) for rule in rules},
        **{f"paper, N=200 T=200 B=30, {rule}": Workload(rule=rule, n=200, steps=200, batch=30) for rule in rules[1:]},
        "LSTM, N=64 T=90 B=32, modulated": Workload("lstm"),
    }


def contestant(way: str, w: Workload) -> Callable[[], None]:
    """One step of training."""
    import torch

    from neuromorph.train.plastic import Episode, Plasticity, PlasticLSTM, PlasticRNN

    generator = torch.Generator().manual_seed(0)
    kind = {"rnn": PlasticRNN, "lstm": PlasticLSTM}[w.cell]
    core = kind(w.n_in, w.n, Plasticity(w.rule), generator=generator, compiled=way == "kernels")
    x = torch.randn(w.steps, w.batch, w.n_in, generator=generator)

    def step() -> None:
        core.zero_grad()
        episode = Episode(core, w.steps, core.initial_state(w.batch))
        for each in x:
            episode.step(each)
        episode.finish()[0].square().mean().backward()

    return step


def compare(w: Workload, rounds: int) -> dict[str, Any]:
    """CPU milliseconds of each way, and how many times longer autograd takes."""
    steps = {way: contestant(way, w) for way in WAYS}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for round_ in range(rounds + 1):
        for way, step in steps.items():
            start = time.process_time()
            step()
            if round_:  # the first compiles
                times[way].append(1e3 * (time.process_time() - start))
    ratio = np.array(times["autograd"]) / np.array(times["kernels"])
    return {
        "workload": asdict(w),
        "cpu_ms": {way: float(np.median(found)) for way, found in times.items()},
        "ratio": {"median": float(np.median(ratio)), "low": float(ratio.min()), "high": float(ratio.max())},
    }


def memory(way: str, w: Workload) -> float:
    """Megabytes at the peak of one step of training above those held after a short one, in a process of its own (Linux)."""
    code = f"import benchmarks.plastic_speed as b; b.measure_memory({way!r}, {asdict(w)!r})"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_memory(way: str, fields: dict[str, Any]) -> None:
    """Print the megabytes."""
    one_thread()
    contestant(way, Workload(**{**fields, "steps": 2, "batch": 1}))()
    step = contestant(way, Workload(**fields))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _peak()
    step()
    print(_peak() - before)


def _peak() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(args: Args) -> dict[str, Any]:
    one_thread()
    from neuromorph.files import atomic_write

    found: dict[str, Any] = {"args": {**asdict(args), "out": args.out.name}, "machine": machine(), "cases": {}}
    for name, w in workloads(args.smoke).items():
        row = compare(w, args.rounds)
        if Path("/proc/self/clear_refs").exists():
            row["memory_mb"] = {way: memory(way, w) for way in WAYS}
        found["cases"][name] = row
        print(f"{name:44} CPU ms {row['cpu_ms']}  x{row['ratio']['median']:.1f}  MB {row.get('memory_mb')}", flush=True)
    atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=Args.rounds)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    main(Args(**vars(parser.parse_args())))
