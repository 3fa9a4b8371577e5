"""Accuracy on digits in floats and in a chip's integers: trained in floats, calibrated afterwards, trained for the chip.

For Loihi 2 the LSNN, for Loihi 1 the form that it has (adaptation by current, reset to value). `python -m
benchmarks.qat_digits` writes benchmarks/results/qat_digits.json and .png, result by result, so that a stopped run goes on.
"""

import argparse
import io
import itertools
import json
import platform
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromorph.backends import backend
from neuromorph.calibrate import calibrate
from neuromorph.compare import decisions
from neuromorph.dataset import Dataset
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, load, save
from neuromorph.grid import Grid
from neuromorph.hardware import HardwareProfile, load_profile
from neuromorph.quantize import quantize
from neuromorph.report import style
from neuromorph.tasks import digits
from neuromorph.train import TrainConfig, train

RESULTS = Path(__file__).parent / "results" / "qat_digits.json"
METHODS = ("aware", "float", "calibrated")
FORMS = {"loihi2": {}, "loihi1": {"reset": "to_value", "adaptation": "current"}}


@dataclass(frozen=True)
class Args:
    """`seeds` trainings in floats and as many for the chip, in each form; `samples`: of training, for calibration.

    Graphs are kept in `graphs`.
    """

    seeds: int = 2
    epochs: int = TrainConfig().training.epochs
    samples: int = 64
    out: Path = RESULTS
    graphs: Path = Path("runs/qat_digits")


def trained(args: Args, data: Dataset, chip: str, seed: int, *, aware: bool) -> tuple[Graph, float]:
    """The float graph, and seconds of training; one that lies in the folder is taken."""
    file = args.graphs / f"{chip}-{'aware' if aware else 'float'}-{seed}-{args.epochs}.h5"
    if not file.exists():
        config = TrainConfig.of(
            network=FORMS[chip],
            training={"seed": seed, "epochs": args.epochs},
            quantization={"profile": chip} if aware else {},
        )
        result = train(config, data, progress=False)
        args.graphs.mkdir(parents=True, exist_ok=True)
        graph = result.graph()
        save(file, graph.replace(metadata={**graph.metadata, "seconds": f"{result.seconds:.1f}"}))
    graph = load(file)
    return graph, float(graph.metadata["seconds"])


def measure(graph: Graph, profile: HardwareProfile, data: Dataset, grid: Grid | None = None) -> dict[str, Any]:
    """Test accuracy of the graph in floats and in integers, decisions that agree, and spikes that differ as a share of all."""
    integer, report = quantize(graph, profile, grid)
    test, window = data.test, int(graph.metadata["decision_window"])
    floats, integers = (backend("reference").run(g, test.spikes) for g in (graph, integer))
    chosen = [decisions(r, window) for r in (floats, integers)]
    accuracy = [float((d == test.labels).mean()) for d in chosen]
    pairs = [(s.to_dense(), integers.spikes[name].to_dense()) for name, s in floats.spikes.items()]
    return {
        "float": accuracy[0],
        "integer": accuracy[1],
        "difference_points": 100 * (accuracy[1] - accuracy[0]),
        "decisions_agree": float((chosen[0] == chosen[1]).mean()),
        "spikes_differ": sum(int((a != b).sum()) for a, b in pairs) / sum(int(a.sum()) for a, _ in pairs),
        "test_samples": len(test),
        "synapses": integer.n_synapses,
        "lost": report.lost,
        "saturations": dict(integers.saturations),
    }


def one(args: Args, data: Dataset, chip: str, seed: int, method: str) -> dict[str, Any]:
    """What a method reaches: "aware" (trained for the chip), "float" (`quantize` alone), "calibrated" (the same network)."""
    profile = load_profile(chip)
    graph, seconds = trained(args, data, chip, seed, aware=method == "aware")
    if method != "calibrated":
        return {**measure(graph, profile, data), "seconds": seconds}
    start = time.monotonic()
    found = calibrate(graph, profile, data.train.head(args.samples).spikes)
    seconds = time.monotonic() - start
    told = {"mismatch": asdict(found.mismatch), "mismatch_plain": asdict(found.plain), "tried": found.tried, "seconds": seconds}
    return {**measure(graph, profile, data, found.grid), **told}


def main(args: Args) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(args.out.read_text())["runs"] if args.out.exists() else []
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    data = digits.load()
    for seed, method, chip in itertools.product(range(args.seeds), METHODS, FORMS):
        what = {"chip": chip, "method": method, "seed": seed, "epochs": args.epochs, "samples": args.samples}
        if any(run["args"] == what for run in runs):
            continue
        found = one(args, data, chip, seed, method)
        runs.append({"args": what, **found, "commit": commit, "machine": machine()})
        atomic_write(args.out, (json.dumps({"runs": runs}, indent=1) + "\n").encode())
        print(chip, "seed", seed, method, {name: found[name] for name in ("float", "integer", "decisions_agree")}, flush=True)
        plot(runs, args.out.with_suffix(".png"))
    return runs


def machine() -> str:
    return f"{platform.machine()}, {platform.system()}"


def plot(runs: list[dict[str, Any]], out: Path) -> None:
    """Accuracy in floats (ring) and integers (disc) of each run, by chip and method."""
    ax = style.new_axis(None, 460.0, 240.0)
    names = sorted({(run["args"]["chip"], run["args"]["method"]) for run in runs})
    for place, (chip, method) in enumerate(names):
        chosen = [run for run in runs if (run["args"]["chip"], run["args"]["method"]) == (chip, method)]
        for x, run in zip(place + np.linspace(-0.2, 0.2, len(chosen) + 2)[1:-1], chosen):
            values = [100 * run["float"], 100 * run["integer"]]
            first = place == 0 and run is chosen[0]
            ax.plot([x, x], values, color=style.INK, linewidth=1)
            ax.plot(x, values[0], "o", mfc="none", color=style.BLUE, label="floats" if first else None)
            ax.plot(x, values[1], "o", color=style.VERMILLION, markersize=4, label="integers" if first else None)
    ax.set_xticks(range(len(names)), [f"{chip}\n{method}" for chip, method in names])
    style.label(ax, "", "test accuracy (%)")
    style.legend(ax)
    figure, buffer = ax.get_figure(root=True), io.BytesIO()
    assert figure is not None
    figure.savefig(buffer, format="png", dpi=144)
    atomic_write(out, buffer.getvalue())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one seed, one epoch, results to a temporary folder")
    if parser.parse_args().smoke:
        with tempfile.TemporaryDirectory() as folder:
            main(Args(seeds=1, epochs=1, samples=4, out=Path(folder) / "qat.json", graphs=Path(folder)))
    else:
        main(Args())
