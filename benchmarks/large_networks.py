"""Memory and time of training a large sparse LSNN, stored as matrices and as live synapses alone: `python -m benchmarks.large_networks`.

One whole update (batch, dropout, forward, loss, backward, clipping, Adam, DEEP R) of the same configuration but for
`deep_r.storage`, on random input, in a process of its own on one thread. Time is CPU time; the first update is not counted.
Memory is the peak above what the process held before the network was made, after the kernels were loaded (Linux).
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.training_speed import one_thread

RESULTS = Path(__file__).parent / "results" / "large_networks.json"
N_IN, N_OUT, INPUT_RATE = 100, 10, 0.05


@dataclass(frozen=True)
class Args:
    """`sizes`: neurons, and whether the matrices are measured too; `steps`, `batch`, `share` of the possible synapses."""

    sizes: tuple[tuple[int, bool], ...] = ((1000, True), (2000, True), (4000, True), (16000, False))
    steps: int = 200
    batch: int = 32
    share: float = 0.02
    updates: int = 3
    out: Path = RESULTS


SMOKE = Args(sizes=((60, True),), steps=20, batch=4, share=0.1, updates=1)


def run(storage: str, n: int, args: Args) -> Any:
    """A run with `args.updates` + 1 updates ahead of it."""
    from neuromorph.dataset import Dataset, LabelledSpikes
    from neuromorph.spikes import Spikes
    from neuromorph.train.config import TrainConfig
    from neuromorph.train.run import Run

    rng = np.random.default_rng(0)
    spikes = Spikes.from_dense((rng.random((args.steps, args.batch, N_IN)) < INPUT_RATE).astype(np.float64), 1e-3)
    part = LabelledSpikes(spikes, rng.integers(0, N_OUT, args.batch))
    config = TrainConfig.of(
        network={"n_excitatory": n // 2, "n_inhibitory": n // 4, "n_adaptive": n // 4, "max_input_delay": 1, "max_readout_delay": 1},
        deep_r={"storage": storage, "connectivity": args.share, "constraint": "projection", "dormant_gradients": "live"},
        training={"updates": args.updates + 1, "batch": args.batch, "initial_scale": 1.0},
    )
    return Run(config, Dataset("noise", N_OUT, part, part, part))


def measure(storage: str, n: int, args: Args) -> None:
    """Print what one storage costs, as JSON."""
    one_thread()
    run(storage, 60, Args(steps=8, batch=2, share=0.1)).step()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, trained, times = peak(), run(storage, n, args), list[float]()
    for _ in range(args.updates + 1):
        start = time.process_time()
        trained.step()
        times.append(time.process_time() - start)
    rate = trained.sums[3] / trained.sums[0]
    found = {"cpu_s": float(np.median(times[1:])), "memory_mb": peak() - before, "synapses": trained.requested, "spikes_per_step": rate}
    print(json.dumps(found))


def peak() -> float:
    """Peak of resident memory since it was last forgotten [MB = 2^20 bytes]."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(args: Args) -> dict[str, Any]:
    from neuromorph.files import atomic_write

    result: dict[str, Any] = {"args": {**asdict(args), "out": args.out.name}, "machine": machine(), "results": []}
    for n, both in args.sizes:
        row: dict[str, Any] = {"n": n}
        for storage in ("live", "matrix") if both else ("live",):
            code = f"from benchmarks.large_networks import *; measure({storage!r}, {n}, Args(**{_plain(args)}))"
            out = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout
            row[storage] = json.loads(out.splitlines()[-1])
        print(json.dumps(row), flush=True)
        result["results"].append(row)
    atomic_write(args.out, (json.dumps(result, indent=1) + "\n").encode())
    return result


def _plain(args: Args) -> dict[str, Any]:
    return {name: value for name, value in asdict(args).items() if name not in ("out", "sizes")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    main(Args(**{**(SMOKE if given.smoke else Args()).__dict__, "out": given.out}))
