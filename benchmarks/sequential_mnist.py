"""What a run of neuromorph/configs/sequential_mnist.toml reached: curve, and accuracy on all 10,000 test images in floats and integers.

    neuromorph data fetch mnist
    neuromorph train sequential_mnist -o runs/sequential_mnist      # hours; --resume goes on
    python -m benchmarks.sequential_mnist runs/sequential_mnist

The model is that of the best validation; test images decide nothing. Both accuracies come from the fast backend, which knows nothing of
the training code; on the first images it is held against the reference.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks.machine import machine
from neuromorph.agreement import validate
from neuromorph.backends import backend
from neuromorph.compare import decisions
from neuromorph.dataset import Samples
from neuromorph.files import atomic_write
from neuromorph.graph import Graph
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.spikes import Spikes
from neuromorph.tasks.choose import load_task
from neuromorph.train import load_checkpoint
from neuromorph.train.config import TrainConfig

RESULTS = Path(__file__).parent / "results" / "sequential_mnist.json"
PAUSE = 300
"""Seconds between two lines of the log from which training stood still."""
PAPER = "94.2 +- 0.3 % (mean of 12 runs), 94.7 % (best): Bellec et al. 2018, arXiv 1803.09574, table S1, 36,000 updates of 256 images"


@dataclass(frozen=True)
class Args:
    """`samples`: of the test part (default all); `chips`: profiles whose integers are run; `checked`: images also run on the reference."""

    run: Path
    samples: int | None = None
    batch: int = 500
    checked: int = 100
    chips: tuple[str, ...] = ("loihi2",)
    out: Path = RESULTS


def batches(part: Samples, n: int, size: int) -> Iterator[tuple[Spikes, np.ndarray]]:
    for first in track(range(0, n, size), description="test images"):
        chosen = np.arange(first, min(first + size, n))
        yield Spikes.from_dense(part.dense(chosen), part.dt), part.labels[chosen]


def hours(logs: Path) -> float:
    """Wall time of training by its logs, without pauses."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs), size_guidance={"scalars": 0})
    events.Reload()
    times = sorted(event.wall_time for event in events.Scalars("loss/train"))
    return sum(later - earlier for earlier, later in pairwise(times) if later - earlier < PAUSE) / 3600


def main(args: Args) -> dict[str, Any]:
    config = TrainConfig.read(args.run / "config.toml")
    test, window = load_task(config.task).test, config.training.window
    n = min(args.samples or len(test), len(test))
    graph = load_checkpoint(args.run / "best.safetensors").graph()
    graphs: dict[str, Graph] = {"float": graph} | {chip: quantize(graph, load_profile(chip))[0] for chip in args.chips}
    compared = {name: validate(g, Spikes.from_dense(test.dense(np.arange(args.checked)), test.dt), "fast") for name, g in graphs.items()}
    if different := [name for name, comparison in compared.items() if not comparison.agrees]:
        raise SystemExit(f"fast and reference differ: {', '.join(str(compared[name]) for name in different)}")
    right, fired = dict.fromkeys(graphs, 0), 0
    for spikes, labels in batches(test, n, args.batch):
        for name, g in graphs.items():
            recording = backend("fast").run(g, spikes)
            right[name] += int((decisions(recording, window) == labels).sum())
            fired += sum(len(s) for s in recording.spikes.values()) if name == "float" else 0
    history = [json.loads(line) for line in (args.run / "history.jsonl").read_text().splitlines()]
    curve = [line for line in history if line["validation"]]
    found = {
        "config": config.to_dict(),
        "machine": machine(),
        "paper": PAPER,
        "updates_done": history[-1]["update"],
        "hours": hours(args.run / "tensorboard"),
        "best": min(curve, key=lambda line: line["validation"]["loss"]),
        "test_samples": n,
        "equal_to_reference": {name: comparison.agrees for name, comparison in compared.items()},
        "test_accuracy": {name: count / n for name, count in right.items()},
        "active_synapses": graph.n_synapses,
        "spikes_per_sample": fired / n,
        "curve": curve,
    }
    atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())
    plot(found, args.out.with_suffix(".png"))
    told = ("updates_done", "hours", "test_accuracy", "equal_to_reference", "active_synapses", "test_samples")
    print(json.dumps({name: found[name] for name in told}, indent=1))
    return found


def plot(found: dict[str, Any], path: Path) -> None:
    """Accuracy over updates, with the paper's range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    updates = [line["update"] for line in found["curve"]]
    for part, colour in (("train", "#9bb8d3"), ("validation", "#3b6ea5")):
        axes.plot(updates, [100 * line[part]["accuracy"] for line in found["curve"]], color=colour, label=part)
    axes.axhspan(93.9, 94.5, color="#cccccc", lw=0, label="paper, mean of 12 runs +- 1 standard deviation")
    for (name, value), marker in zip(found["test_accuracy"].items(), "os^v"):
        label = f"test, {name}: {100 * value:.2f} %"
        axes.plot([found["best"]["update"]], [100 * value], marker, color="#b5432a", fillstyle="none", label=label)
    axes.set_xlabel("update")
    axes.set_ylabel("accuracy [%]")
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--samples", type=int, default=None)
    parser.add_argument("--batch", type=int, default=Args.batch)
    parser.add_argument("--out", type=Path, default=RESULTS)
    main(Args(**vars(parser.parse_args())))
