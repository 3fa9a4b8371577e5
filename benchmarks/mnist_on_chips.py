"""The trained sequential-MNIST networks on every chip: check, quantise, run, map, estimate, and the same task elsewhere.

    neuromorph data fetch mnist
    python -m benchmarks.mnist_on_chips

Two LSNNs lie beside this file, in models/: `threshold` (adaptive thresholds, the threshold subtracted at a spike: Loihi 2's microcode has
it) and `current` (adaptation by a current, reset to 0: what Loihi 1 has). Each was trained by `neuromorph train sequential_mnist`; the file
says how in its metadata. A chip that has no such neurons, or that neuromorph does not compile to, is estimated as a what-if from the
integers of the network's own chip.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks.machine import machine
from neuromorph.backends.fast import FastBackend
from neuromorph.backends.fast.summary import Summary, join
from neuromorph.cli.inputs import decision_window
from neuromorph.counts import Counts, of_summary
from neuromorph.dataset import Samples
from neuromorph.energy import EnergyReport, estimate
from neuromorph.energy.break_even import break_even
from neuromorph.energy.comparators import Lstm, comparators
from neuromorph.energy.mapped import Mapped, map_and_time
from neuromorph.errors import EnergyUnavailable
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, load
from neuromorph.hardware import HardwareProfile, list_profiles, load_profile
from neuromorph.mapping import check
from neuromorph.quantize import quantize
from neuromorph.spikes import Spikes
from neuromorph.tasks.sequential_mnist import Encoding
from neuromorph.tasks.sequential_mnist import load as load_task

HERE = Path(__file__).parent
OWN_CHIPS = {"threshold": "loihi2", "current": "loihi1"}
LSTM = Lstm(units=128, inputs=1, steps=784)
"""That of Bellec 2018 and of Intel's benchmark: one grey value a step, 67,850 parameters."""


@dataclass(frozen=True)
class Args:
    """`samples` of the test part; `kept`: of those, whose spikes are kept to time the chip."""

    samples: int = 10_000
    kept: int = 32
    batch: int = 500
    models: Path = HERE / "models"
    out: Path = HERE / "results" / "mnist_on_chips.json"


def run(graph: Graph, test: Samples, args: Args) -> tuple[Summary, float, dict[str, Spikes]]:
    """All samples counted, the share that is right, and the spikes of the first."""
    parts, right = [], 0
    for first in track(range(0, args.samples, args.batch), description=f"{graph.metadata.get('profile', 'float')}"):
        chosen = np.arange(first, min(first + args.batch, args.samples))
        inputs = {graph.inputs[0].name: Spikes.from_dense(test.dense(chosen), test.dt)}
        parts.append(FastBackend().summarise(graph, inputs, window=decision_window(graph)))
        right += int((parts[-1].decisions() == test.labels[chosen]).sum())
    some = {graph.inputs[0].name: Spikes.from_dense(test.dense(np.arange(min(args.kept, args.samples))), test.dt)}
    return join(parts), right / args.samples, {**some, **FastBackend().run(graph, some).spikes}


def on_every_chip(graph: Graph, own: str, test: Samples, args: Args) -> Iterator[dict[str, Any]]:
    """A row for each profile; the network runs once in the integers of each chip that has its neurons."""
    done: dict[str, tuple[Graph, Counts, Summary, float, dict[str, Spikes]]] = {}
    for name in sorted(list_profiles(), key=lambda name: name != load_profile(own).id):
        chip = load_profile(name)
        fits = check(graph, chip).fits
        target = name if fits else load_profile(own).id
        if target not in done:
            integers, report = quantize(graph, load_profile(target))
            summary, accuracy, kept = run(integers, test, args)
            done[target] = integers, of_summary(integers, summary), summary, accuracy, kept
            print(f"{target}: {100 * accuracy:.2f} %, {report.lost} synapses rounded to zero", flush=True)
        integers, counts, summary, accuracy, kept = done[target]
        yield row(chip, integers, counts, summary, kept) | {"fits": fits, "integers_of": target, "accuracy": accuracy}


def row(chip: HardwareProfile, graph: Graph, counts: Counts, summary: Summary, kept: dict[str, Spikes]) -> dict[str, Any]:
    """Check, map and estimate on one chip: steps in real time, and as fast as they go where the profile has times."""
    placed = None
    if "mesh_columns" in chip.limits and chip.compilable:
        placed = map_and_time(graph, chip, summary.mean_spikes(), kept, step_seconds=0.0)
    report = check(graph, chip)
    found: dict[str, Any] = {
        "profile": chip.id,
        "check": [rule.to_dict() for rule in report.rules if rule.status != "kept"],
        "cores": report.partition.n_cores if report.partition else None,
        "load": asdict(placed.load) if placed else None,
    }
    try:
        real_time = estimate(counts, graph, chip, load=placed.load if placed else None, what_if=True)
    except EnergyUnavailable as reason:
        return found | {"refused": str(reason)}
    return found | {"real_time": short(real_time), "free_running": _free_running(chip, graph, counts, placed), "refused": None}


def _free_running(chip: HardwareProfile, graph: Graph, counts: Counts, placed: Mapped | None) -> dict[str, Any] | None:
    if placed is None or placed.latency is None:
        return None
    return short(estimate(counts, graph, chip, load=placed.load, latency=placed.latency, what_if=True))


def short(report: EnergyReport) -> dict[str, Any]:
    """An estimate without the sources of its numbers, which are in the profile."""
    kept = "scopes", "total", "whole_chips", "seconds", "power", "edp", "corrected_dynamic", "unknown", "what_if", "profile"
    told = report.to_dict()
    terms = {t.name: {"count": t.count, "nominal": t.nominal} for t in report.terms}
    return {name: told[name] for name in kept} | {
        "terms": terms,
        "not_counted_time": report.latency.not_counted if report.latency else None,
    }


def elsewhere(graph: Graph, own: str, test: Samples, args: Args) -> dict[str, Any]:
    """Comparators and break-even of the network on its own chip."""
    chip = load_profile(own)
    integers, _ = quantize(graph, chip)
    summary, _, kept = run(integers, test, args)
    counts, placed = of_summary(integers, summary), map_and_time(integers, chip, summary.mean_spikes(), kept)
    report: EnergyReport = estimate(counts, integers, chip, load=placed.load, latency=placed.latency)
    others = comparators(counts, integers, LSTM)
    return {
        "rates_hz": dict(counts.rates),
        "comparators": [c.to_dict() for c in others],
        "break_even": [break_even(report, counts, integers, c).to_dict() for c in others],
    }


def main(args: Args) -> dict[str, Any]:
    test, found = load_task(Encoding()).test, {"args": {"samples": args.samples, "kept": args.kept}, "machine": machine(), "networks": {}}
    for form, own in OWN_CHIPS.items():
        graph = load(args.models / f"sequential_mnist_{form}.h5")
        few = Args(min(args.samples, 500), args.kept, args.batch, args.models, args.out)
        found["networks"][form] = {
            "own_chip": load_profile(own).id,
            "synapses": graph.n_synapses,
            "neurons": graph.n_neurons,
            "training": json.loads(graph.metadata["training"]),
            "chips": list(on_every_chip(graph, own, test, args)),
            **elsewhere(graph, own, test, few),
        }
    atomic_write(args.out, (json.dumps(found, indent=1, default=float) + "\n").encode())
    plot(found, args.out.with_suffix(".png"))
    return found


def plot(found: dict[str, Any], path: Path) -> None:
    """Energy by scope on every chip that has numbers, in real time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from neuromorph.report.plots import energy_bars

    figure, axes = plt.subplots(1, len(found["networks"]), figsize=(13, 6), layout="constrained", sharex=True)
    for ax, (form, network) in zip(np.ravel(axes), found["networks"].items()):
        energy_bars([row["real_time"] for row in network["chips"] if not row["refused"]], ax=ax)
        ax.set_title(f"adaptation by {form} (* what if)", loc="left", pad=28)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="four samples")
    parser.add_argument("--out", type=Path, default=Args.out)
    given = parser.parse_args()
    main(Args(samples=4, kept=2, out=given.out) if given.smoke else Args(out=given.out))
