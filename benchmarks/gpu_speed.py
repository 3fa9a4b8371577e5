"""Speed of training on a GPU against norse.torch.LSNNRecurrent on the same one: `python -m benchmarks.gpu_speed`.

Wall time of a training step (forward, loss, backward) between two synchronisations; the libraries take turns. A ratio is the median
over rounds of Norse's time over neuromorph's in the same round; memory is the peak that PyTorch allocated during the step. float32,
Norse without its readout module (cheaper than with it), neuromorph with its readout and refractoriness.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.contestants import INPUT_RATE, N_IN, N_OUT, WINDOW
from benchmarks.machine import machine
from neuromorph.files import atomic_write
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN

RESULTS = Path(__file__).parent / "results" / "gpu_speed.json"

type Step = Callable[[], float]


@dataclass(frozen=True)
class Workload:
    """`delays`: largest recurrent delay (here only: Norse has none)."""

    steps: int = 784
    n: int = 220
    batch: int = 128
    delays: int = 1


WORKLOADS = (*(Workload(batch=b) for b in (32, 128, 512)), *(Workload(n=n) for n in (64, 512)), Workload(delays=10))


@dataclass(frozen=True)
class Args:
    rounds: int = 5
    workloads: tuple[Workload, ...] = WORKLOADS
    out: Path = RESULTS


def data(w: Workload) -> tuple[torch.Tensor, torch.Tensor]:
    """Input spikes and labels."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(w.steps, w.batch, N_IN, generator=generator) < INPUT_RATE
    return x.float().cuda(), torch.randint(0, N_OUT, (w.batch,), generator=generator).cuda()


def neuromorph(w: Workload) -> Step:
    """LSNN.decide by Triton; gives the mean spikes a step."""
    adaptive, inhibitory = round(w.n * 100 / 220), round(w.n * 54 / 220)
    config = LSNNConfig(w.n - adaptive - inhibitory, inhibitory, adaptive, tau_a=0.7, max_recurrent_delay=w.delays)
    model = LSNN(config, N_IN, N_OUT, generator=torch.Generator().manual_seed(0)).cuda()
    x, labels = data(w)

    def step() -> float:
        model.zero_grad()
        logits, rates, _ = model.decide(x, min(WINDOW, w.steps))
        torch.nn.functional.cross_entropy(logits, labels).backward()
        return float(rates.detach().mean())

    return step


def norse(w: Workload) -> Step:
    """Norse's LSNN, with a linear readout of the mean of its last spikes."""
    from norse.torch import LSNNRecurrent
    from norse.torch.functional.lsnn import LSNNParameters

    torch.manual_seed(0)
    layer = LSNNRecurrent(N_IN, w.n, p=LSNNParameters(tau_adapt_inv=torch.tensor(1 / 0.7))).cuda()
    with torch.no_grad():
        layer.input_weights.mul_(3)
    readout = torch.nn.Linear(w.n, N_OUT).cuda()
    x, labels = data(w)

    def step() -> float:
        layer.zero_grad()
        readout.zero_grad()
        z, _ = layer(x)
        torch.nn.functional.cross_entropy(readout(z[-WINDOW:].mean(0)), labels).backward()
        return float(z.detach().mean())

    return step


def measure(step: Step) -> tuple[float, float]:
    """Milliseconds of a step, and mebibytes at its peak beyond what was there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, start = torch.cuda.memory_allocated(), time.perf_counter()
    step()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start), (torch.cuda.max_memory_allocated() - before) / 2**20


def compare(w: Workload, rounds: int) -> dict[str, Any]:
    """Medians over rounds after one step each that is not counted (it compiles)."""
    steps = {"neuromorph": neuromorph(w), "norse": norse(w)}
    rates = {name: step() for name, step in steps.items()}
    found = [{name: measure(step) for name, step in steps.items()} for _ in range(rounds)]
    ms = {name: [each[name][0] for each in found] for name in steps}
    ratios = sorted(theirs / ours for ours, theirs in zip(ms["neuromorph"], ms["norse"]))
    return {
        "workload": asdict(w),
        "milliseconds": {name: statistics.median(times) for name, times in ms.items()},
        "mebibytes": {name: statistics.median(each[name][1] for each in found) for name in steps},
        "spikes_per_step": rates,
        "norse_over_neuromorph": {"median": statistics.median(ratios), "range": [ratios[0], ratios[-1]]},
    }


def main(args: Args) -> dict[str, Any]:
    """Measure every workload; results are written after each.

    Raises:
        SystemExit: no GPU, or no Triton.
    """
    if not torch.cuda.is_available():
        sys.exit("gpu_speed: torch finds no GPU here; nothing was measured. Run it on a machine with one.")
    try:
        import triton
    except ImportError:
        sys.exit("gpu_speed: triton is not installed, which the GPU's kernels need; nothing was measured.")
    where = {**machine(), "gpu": torch.cuda.get_device_name(), "triton": triton.__version__}
    result: dict[str, Any] = {"rounds": args.rounds, "machine": where, "results": []}
    for w in args.workloads:
        result["results"].append(compare(w, args.rounds))
        print(json.dumps(result["results"][-1]), flush=True)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(args.out, (json.dumps(result, indent=1) + "\n").encode())
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=Args.rounds)
    main(Args(rounds=parser.parse_args().rounds))
