"""Accuracy of the demo's network over seeds, in floats and in the integers of both Loihis: `make bench`.

Each seed trains anew; results are kept one by one in benchmarks/results/digits_seeds.json, so that a stopped run goes on
where it was.
"""

import argparse
import json
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuromorph.backends import backend
from neuromorph.compare import decisions
from neuromorph.errors import QuantizationError
from neuromorph.files import atomic_write
from neuromorph.graph import Graph
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.spikes import Spikes
from neuromorph.tasks import digits
from neuromorph.train import TrainConfig, train

RESULTS = Path(__file__).parent / "results" / "digits_seeds.json"


@dataclass(frozen=True)
class Args:
    """`seeds` trainings in each form: the LSNN, and the form that Loihi 1 has."""

    seeds: int = 3
    epochs: int = TrainConfig().training.epochs
    out: Path = RESULTS


def accuracy(graph: Graph, spikes: Spikes, labels: Any, window: int) -> float:
    return float((decisions(backend("reference").run(graph, spikes), window) == labels).mean())


def one(config: TrainConfig) -> dict[str, Any]:
    """Train once; test accuracy by precision and chip."""
    data = digits.load()
    result = train(config, data)
    graph, test, window = result.graph(), data.test, config.training.window
    found: dict[str, Any] = {"float": accuracy(graph, test.spikes, test.labels, window)}
    for chip in ("loihi1", "loihi2"):
        try:
            integers, _ = quantize(graph, load_profile(chip))
        except QuantizationError:
            continue
        found[chip] = accuracy(integers, test.spikes, test.labels, window)
    return {"accuracy": found, "active_synapses": graph.n_synapses, "rate_hz": result.test.rate_hz, "seconds": result.seconds}


def main(args: Args) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = json.loads(args.out.read_text())["runs"] if args.out.exists() else []
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    for seed in range(args.seeds):
        for forms in ({}, {"reset": "to_value", "adaptation": "current"}):
            config = TrainConfig.of(network=forms, training={"seed": seed, "epochs": args.epochs})
            settings = config.to_dict()
            if any(run["args"] == settings for run in done):
                continue
            done.append({"args": settings, **one(config), "commit": commit, "machine": f"{platform.machine()}, {platform.system()}"})
            atomic_write(args.out, (json.dumps({"runs": done}, indent=1) + "\n").encode())
            print(forms or "LSNN", "seed", seed, done[-1]["accuracy"])
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one seed, one epoch, results to a temporary folder")
    if parser.parse_args().smoke:
        with tempfile.TemporaryDirectory() as folder:
            main(Args(seeds=1, epochs=1, out=Path(folder) / "runs.json"))
    else:
        main(Args())
