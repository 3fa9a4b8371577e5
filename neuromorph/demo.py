"""The whole chain on real digits: train, export, quantise, run, validate, count, estimate, report."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neuromorph import backends
from neuromorph.compare import Comparison, compare, decisions
from neuromorph.counts import Counts, count
from neuromorph.dataset import Samples
from neuromorph.differences import Difference
from neuromorph.energy import EnergyReport, estimate
from neuromorph.errors import EnergyUnavailable
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, save
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.recording import Recording, save_recording
from neuromorph.spikes import save_spikes
from neuromorph.tasks import digits
from neuromorph.train.checkpoint import load_checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.loop import BEST, train
from neuromorph.train.record import record
from neuromorph.train.storage import Network
from neuromorph.versions import versions

type Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoArgs:
    """What the demo does. `samples`: how many test samples each simulator is validated on, by backend."""

    out: Path = Path("runs/demo")
    config: TrainConfig = field(default_factory=TrainConfig)
    profile: str = "loihi2"
    samples: dict[str, int] = field(default_factory=lambda: {"torch": 50, "fast": 50, "brian2": 50, "lava": 20})
    energy_profiles: tuple[str, ...] = ("loihi1", "loihi1_sanafe", "loihi2", "spinnaker2", "truenorth", "cmos45_fp32")


class Stopwatch:
    """Wall seconds of each stage by name."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self.say(stage)
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 2)


def demo(args: DemoArgs, *, say: Say = print, progress: bool = True) -> dict[str, Any]:
    """Walk the chain, leave every file in `args.out`, return what `summary.json` holds.

    The folder then has: what `train` leaves (best.safetensors, history.jsonl, ...), initial.h5 and model.h5 (graph before
    and after training), model.<chip>.h5 (integers), test.h5 (spikes and labels of the whole test set), recordings/ (one
    sample from each backend), quantization.json, history.json, summary.json.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "recordings").mkdir(exist_ok=True)
    watch = Stopwatch(say)
    with watch("train"):
        data = digits.load()
        result = train(args.config, data, folder=args.out, progress=progress)
    with watch("export"):
        checkpoint = load_checkpoint(args.out / BEST)
        graph, test = checkpoint.graph(), data.test
        save(args.out / "model.h5", graph)
        save(args.out / "initial.h5", checkpoint.initial_graph())
        save_spikes(args.out / "test.h5", {graph.inputs[0].name: test.spikes}, test.labels)
    with watch("quantize"):
        chip = load_profile(args.profile)
        integer, report = quantize(graph, chip)
        save(args.out / f"model.{chip.id}.h5", integer)
    with watch("run test set"):
        recordings = {g.precision: backends.backend("fast").run(g, test.spikes) for g in (graph, integer)}
        window = args.config.training.window
        accuracy = {p: float((decisions(r, window) == test.labels).mean()) for p, r in recordings.items()}
    validation = _validate(args, watch, checkpoint.model, graph, integer, test)
    with watch("count and estimate"):
        counts = count(integer, test.spikes, recordings["integer"])
        energy, refused = _energy(args, counts, integer)
    summary = {
        "accuracy": accuracy | {"torch": result.test.accuracy, "test_samples": len(test)},
        "active_synapses": graph.n_synapses,
        "requested_synapses": result.requested_synapses,
        "connectivity": args.config.deep_r.connectivity,
        "validation": [c.to_dict() for c in validation],
        "counts": counts.to_dict(),
        "energy": [e.to_dict() for e in energy],
        "energy_refused": refused,
        "saturations": dict(recordings["integer"].saturations),
        "quantization": report.to_dict(),
        "profile": chip.id,
        "args": asdict(args),
        "versions": versions(),
        "seconds": watch.seconds | {"total": round(sum(watch.seconds.values()), 2)},
    }
    write_json(args.out / "quantization.json", report.to_dict())
    write_json(args.out / "history.json", [_flat(epoch) for epoch in checkpoint.history])
    write_json(args.out / "summary.json", summary)
    return summary


def _validate(args: DemoArgs, watch: Stopwatch, model: Network, graph: Graph, integer: Graph, test: Samples) -> list[Comparison]:
    """Every simulator against the reference, floats and integers; one sample of each is kept for the report."""
    window = args.config.training.window
    done: list[Comparison] = []
    for g in (graph, integer):
        names = [p.name for p in g.neurons]
        oracle = backends.backend("reference").run(g, test.head(max(args.samples.values())).spikes, states=names)
        _keep(args.out, oracle)
        for name, samples in args.samples.items():
            if name == "torch" and g is integer:
                continue
            with watch(f"validate {name} {g.precision}"):
                spikes = test.head(samples).spikes
                if name == "torch":
                    recording = record(copy.deepcopy(model).double(), g, spikes)
                else:
                    recording = backends.backend(name).run(g, spikes, states=names)
                against = oracle.select(range(spikes.n_samples))
                done.append(compare(g, recording, against, window=window))
                _keep(args.out, recording)
                _keep_difference(args.out, len(done) - 1, done[-1].first, recording, against)
            watch.say(f"  {done[-1]}")
    return done


def _keep(folder: Path, recording: Recording) -> None:
    save_recording(folder / "recordings" / f"{recording.backend}-{recording.precision}.h5", recording.select([0]))


def _flat(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the history with names such as "validation accuracy" instead of nested tables."""
    flat: dict[str, Any] = {}
    for name, value in epoch.items():
        flat |= {f"{name} {part}": x for part, x in value.items()} if isinstance(value, Mapping) else {name: value}
    return flat


def _keep_difference(folder: Path, number: int, first: Difference | None, recording: Recording, against: Recording) -> None:
    """The sample in which two simulators first differ, for the report."""
    if first is None:
        return
    (folder / "differences").mkdir(exist_ok=True)
    for side, whole in (("recording", recording), ("against", against)):
        save_recording(folder / "differences" / f"{number}-{side}.h5", whole.select([first.sample]))


def _energy(args: DemoArgs, counts: Counts, graph: Graph) -> tuple[list[EnergyReport], dict[str, str]]:
    """Estimates per profile ("what if" where the chip lacks a form of the graph), and why others were refused."""
    reports: list[EnergyReport] = []
    refused: dict[str, str] = {}
    for name in args.energy_profiles:
        try:
            reports.append(estimate(counts, graph, load_profile(name), what_if=True))
        except EnergyUnavailable as reason:
            refused[name] = str(reason)
    return reports, refused


def write_json(path: Path, data: Any) -> None:
    """JSON with numpy numbers as plain ones, atomically."""
    atomic_write(path, (json.dumps(data, indent=2, default=lambda x: str(x) if isinstance(x, Path) else x.tolist()) + "\n").encode())
