"""Speed and memory of training against other libraries: `make bench-training` (install the others with `make peers`).

Everything runs on one thread of one processor; the libraries take turns, so that a busy machine slows all alike. Time is CPU time
of the process; a ratio is the median over rounds of one library's time over neuromorph's in the same round. Memory is
the peak of a process of its own above what it held once everything was set up.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results" / "training_speed.json"


@dataclass(frozen=True)
class Args:
    """`rounds` of each comparison; `smoke`: tiny sizes, to see that it runs."""

    rounds: int = 5
    smoke: bool = False
    out: Path = RESULTS


def one_thread() -> None:
    """One processor, one thread, before any library starts its own."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def workloads(smoke: bool) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """What is measured, and which peers take part."""
    from benchmarks.contestants import Workload

    if smoke:
        return {"tiny": (Workload(steps=60, n=20, batch=3), ("norse", "snntorch", "spyx"))}
    a = Workload()
    sparse = replace(a, density=0.12)
    peers = ("norse", "snntorch", "spyx")
    return {
        "B=32 dense": (a, peers),
        "B=32 12 %": (sparse, ("norse", "spyx")),
        "B=128 dense": (replace(a, batch=128), ("norse",)),
        "B=128 12 %": (replace(sparse, batch=128), ("norse",)),
        "B=32 12 % delays 1-10": (replace(sparse, delays=10), ("norse",)),
        "B=32 dense delays 1-10": (replace(a, delays=10), ("norse",)),
        "B=32 12 % loss every step": (replace(sparse, loss="frames"), ("norse",)),
        "N=1000 T=200 12 %": (replace(sparse, n=1000, steps=200), ("norse",)),
        **{f"T={t} 12 %": (replace(sparse, steps=t), ("norse",)) for t in (200, 400, 1600)},
        **{f"N={n} 12 %": (replace(sparse, n=n), ("norse",)) for n in (50, 100, 400)},
        **{f"B={b} 12 %": (replace(sparse, batch=b), ("norse",)) for b in (8, 64, 256)},
        **{f"B=32 {100 * d:g} %": (replace(a, density=d), ("norse",)) for d in (0.03, 0.3, 0.5)},
    }


def compare(workload: Any, peers: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """CPU milliseconds of each library and ratios to neuromorph; libraries that are not installed are left out."""
    from benchmarks.contestants import CONTESTANTS

    here = [name for name in ("neuromorph", *peers) if importlib.util.find_spec(name)]
    steps = {name: CONTESTANTS[name](workload) for name in here}
    rates = {name: step() for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in here}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            times[name].append(1e3 * (time.process_time() - start))
    ours = np.array(times["neuromorph"])
    ratios = {name: np.array(times[name]) / ours for name in here if name != "neuromorph"}
    return {
        "workload": asdict(workload),
        "cpu_ms": {name: float(np.median(t)) for name, t in times.items()},
        "ratio": {name: {"median": float(np.median(r)), "low": float(r.min()), "high": float(r.max())} for name, r in ratios.items()},
        "rate_per_step": rates,
    }


def memory(name: str, workload: Any) -> float:
    """Megabytes above set-up at the peak of two training steps, in a process of its own (Linux)."""
    code = f"import benchmarks.training_speed as b; b.measure_memory({name!r}, {asdict(workload)!r})"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_memory(name: str, fields: dict[str, Any]) -> None:
    """Print the peak memory [MB] of two steps above that held after set-up and a step of eight time steps."""
    one_thread()
    from benchmarks.contestants import CONTESTANTS, Workload

    workload = Workload(**fields)
    CONTESTANTS[name](replace(workload, steps=8))()
    step = CONTESTANTS[name](workload)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _peak()
    step()
    step()
    print(_peak() - before)


def _peak() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def two_threads(workload: Any, rounds: int) -> dict[str, Any]:
    """Wall time on one processor over that on two, taking turns, in a process of its own; needs an idle machine."""
    code = f"import benchmarks.training_speed as b; b.measure_threads({asdict(workload)!r}, {rounds})"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def measure_threads(fields: dict[str, Any], rounds: int) -> None:
    """Print the wall times [ms] of a step on one and on two processors, and the ratio in each round."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the kernel makes its threads when it is imported
    from benchmarks.contestants import CONTESTANTS, Workload

    processors = sorted(os.sched_getaffinity(0))[:2]
    step = CONTESTANTS["neuromorph"](Workload(**fields))
    times: dict[int, list[float]] = {1: [], 2: []}
    for round_ in range(rounds + 1):
        for n in times:
            os.sched_setaffinity(0, processors[:n])
            start = time.perf_counter()
            step()
            if round_:
                times[n].append(1e3 * (time.perf_counter() - start))
    ratio = np.array(times[1]) / np.array(times[2])
    summary = {"median": float(np.median(ratio)), "low": float(ratio.min()), "high": float(ratio.max())}
    print(json.dumps({"workload": fields, "wall_ms": {n: float(np.median(t)) for n, t in times.items()}, "ratio": summary}))


def main(args: Args) -> dict[str, Any]:
    one_thread()
    from neuromorph.files import atomic_write

    found: dict[str, Any] = {"args": {**asdict(args), "out": args.out.name}, "machine": machine(), "speed": {}, "memory_mb": {}}
    for name, (workload, peers) in workloads(args.smoke).items():
        found["speed"][name] = compare(workload, peers, args.rounds)
        _show(name, found["speed"][name])
    if Path("/proc/self/clear_refs").exists():
        for name, workload, libraries in _memory_cases(args.smoke):
            found["memory_mb"][name] = {library: memory(library, workload) for library in libraries}
            print(f"{name:28} memory MB  " + "  ".join(f"{k} {v:.1f}" for k, v in found["memory_mb"][name].items()), flush=True)
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        found["two_threads"] = two_threads(_parallel(args.smoke), args.rounds)
        print(f"two threads: x{found['two_threads']['ratio']['median']:.2f} of one (wall time)", flush=True)
    atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())
    if not args.smoke:
        plot(found, args.out.with_suffix(".png"))
    return found


def _memory_cases(smoke: bool) -> list[tuple[str, Any, tuple[str, ...]]]:
    from benchmarks.contestants import Workload

    if smoke:
        return [("tiny", Workload(steps=60, n=20, batch=3), ("neuromorph",))]
    sparse = Workload(density=0.12)
    return [
        ("T=784 B=32 12 %", sparse, ("neuromorph", "norse")),
        ("T=784 B=32 dense", replace(sparse, density=1.0), ("neuromorph",)),
        ("T=784 B=128 12 %", replace(sparse, batch=128), ("neuromorph", "norse")),
        ("T=400 B=32 12 %", replace(sparse, steps=400), ("neuromorph",)),
        ("T=1600 B=32 12 %", replace(sparse, steps=1600), ("neuromorph",)),
    ]


def _parallel(smoke: bool) -> Any:
    from benchmarks.contestants import Workload

    return Workload(steps=60, n=20, batch=64) if smoke else Workload(batch=128, density=0.12)


def _show(name: str, row: dict[str, Any]) -> None:
    ratios = "  ".join(f"{peer} x{r['median']:.1f} [{r['low']:.1f}-{r['high']:.1f}]" for peer, r in row["ratio"].items())
    print(f"{name:28} {row['cpu_ms']['neuromorph']:8.1f} ms   {ratios}", flush=True)


def plot(found: dict[str, Any], path: Path) -> None:
    """Bars: how many times longer each peer takes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [(f"{name}: {peer}", r) for name, row in found["speed"].items() for peer, r in row["ratio"].items()]
    figure, axes = plt.subplots(figsize=(8, 0.28 * len(rows) + 1), layout="constrained")
    middle = np.array([r["median"] for _, r in rows])
    spread = np.abs(np.array([[r["low"], r["high"]] for _, r in rows]).T - middle)
    axes.barh([label for label, _ in rows], middle, xerr=spread, color="#3b6ea5", ecolor="#999999")
    axes.invert_yaxis()
    axes.set_xlabel("CPU time of the peer / CPU time of neuromorph (median and range of rounds)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=Args.rounds)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    main(Args(**vars(parser.parse_args())))
