"""The whole chain on real digits: train, export, quantise, run, validate, map, count, estimate, report."""

import copy
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from neuromorph import backends
from neuromorph.compare import Comparison, compare, decisions
from neuromorph.counts import Counts, count
from neuromorph.dataset import Samples
from neuromorph.differences import Difference
from neuromorph.energy import EnergyReport, estimate
from neuromorph.energy.break_even import break_even
from neuromorph.energy.comparators import comparators
from neuromorph.energy.mapped import Mapped, map_and_time
from neuromorph.errors import EnergyUnavailable, MappingError, ProfileError
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, save
from neuromorph.hardware import HardwareProfile, load_profile
from neuromorph.mapping import check, save_map
from neuromorph.quantize import quantize
from neuromorph.recording import Recording, save_recording
from neuromorph.spikes import Spikes, save_spikes
from neuromorph.tasks import digits
from neuromorph.train.checkpoint import Checkpoint, load_checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.loop import BEST, train
from neuromorph.train.record import record
from neuromorph.train.storage import Network
from neuromorph.versions import versions

Say: TypeAlias = Callable[[str], None]

KEPT = 64
"""Samples by whose spikes an inference on a chip is timed."""


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


@dataclass(frozen=True, eq=False)
class Activity:
    """What a graph did, to map it by: `mean` spikes of every neuron in an inference [n], and the spikes `kept` of the first samples, both
    by population that emits any, inputs included.
    """

    graph: Graph
    mean: Mapping[str, np.ndarray]
    kept: Mapping[str, Spikes]

    @classmethod
    def of(cls, graph: Graph, spikes: Mapping[str, Spikes]) -> "Activity":
        kept = {name: s.select(range(min(KEPT, s.n_samples))) for name, s in spikes.items()}
        return cls(graph, {name: s.counts().mean(0) for name, s in spikes.items()}, kept)

    def on(self, profile: HardwareProfile) -> Mapped:
        """The graph on a chip, in real time.

        Raises:
            ProfileError: the profile does not say how large cores are or how they lie.
            MappingError: a single neuron needs more than a core has.
        """
        return map_and_time(self.graph, profile, self.mean, self.kept, step_seconds=self.graph.dt)


def demo(args: DemoArgs, *, say: Say = print, progress: bool = True) -> dict[str, Any]:
    """Walk the chain, leave every file in `args.out`, return what `summary.json` holds.

    The folder then has: what `train` leaves, initial.h5 and model.h5 (graph before and after training), model.<chip>.h5 (integers), test.h5
    (spikes and labels of the test set), recordings/ (one sample of each backend), map.json (the integers on the chip), mean_spikes.json (of
    every neuron, in an inference of the test set), quantization.json, history.json, summary.json.
    """
    (args.out / "recordings").mkdir(parents=True, exist_ok=True)
    watch = Stopwatch(say)
    with watch("train"):
        data = digits.load()
        result = train(args.config, data, folder=args.out, progress=progress)
    with watch("export"):
        checkpoint = load_checkpoint(args.out / BEST)
        graph, test = _export(args.out, checkpoint, data.test), data.test
    with watch("quantize"):
        chip = load_profile(args.profile)
        integer, report = quantize(graph, chip)
        save(args.out / f"model.{chip.id}.h5", integer)
    with watch("run test set"):
        recordings = {g.precision: backends.backend("fast").run(g, test.spikes) for g in (graph, integer)}
        accuracy = {p: float((decisions(r, args.config.training.window) == test.labels).mean()) for p, r in recordings.items()}
    with watch("check and map"):
        activity = Activity.of(integer, {integer.inputs[0].name: test.spikes, **recordings["integer"].spikes})
        on_chip = check_and_map(args.out, activity, chip)
    validation = _validate(args, watch, checkpoint.model, graph, integer, test)
    with watch("count and estimate"):
        counts = count(integer, test.spikes, recordings["integer"])
        energy = energies(args.energy_profiles, counts, activity)
    results = {
        "accuracy": accuracy | {"torch": result.test.accuracy, "test_samples": len(test)},
        "active_synapses": graph.n_synapses,
        "requested_synapses": result.requested_synapses,
        "validation": [c.to_dict() for c in validation],
        "counts": counts.to_dict(),
        "saturations": dict(recordings["integer"].saturations),
        "quantization": report.to_dict(),
        "profile": chip.id,
    }
    return _write(args, watch, results | on_chip | energy, checkpoint)


def _export(folder: Path, checkpoint: Checkpoint, test: Samples) -> Graph:
    """The graph before and after training, and the spikes to run it on."""
    graph = checkpoint.graph()
    save(folder / "model.h5", graph)
    save(folder / "initial.h5", checkpoint.initial_graph())
    save_spikes(folder / "test.h5", {graph.inputs[0].name: test.spikes}, test.labels)
    return graph


def _write(args: DemoArgs, watch: Stopwatch, results: dict[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
    """Results, and how they came to be, as JSON."""
    seconds = watch.seconds | {"total": round(sum(watch.seconds.values()), 2)}
    summary = results | {"connectivity": args.config.deep_r.connectivity, "args": asdict(args), "versions": versions(), "seconds": seconds}
    write_json(args.out / "quantization.json", results["quantization"])
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


def check_and_map(folder: Path, activity: Activity, chip: HardwareProfile) -> dict[str, Any]:
    """Whether the graph fits the chip; its map in map.json, what that asks of the chip and how long it takes, or why there is none."""
    mean = {name: [float(f"{spikes:.9g}") for spikes in each] for name, each in activity.mean.items()}
    write_json(folder / "mean_spikes.json", mean)
    held = check(activity.graph, chip)
    rules = held.to_dict() | {"worst": [rule.to_dict() for rule in held.worst()]}
    told: dict[str, Any] = {"check": rules, "map": None, "map_refused": None}
    try:
        placed = activity.on(chip)
    except (MappingError, ProfileError) as reason:
        return told | {"map_refused": str(reason)}
    save_map(folder / "map.json", placed.found, placed.load)
    return told | {"map": {"load": asdict(placed.load), "latency": placed.latency.to_dict() if placed.latency else None}}


def energies(profiles: Iterable[str], counts: Counts, activity: Activity) -> dict[str, Any]:
    """Estimates per profile ("what if" where the chip lacks a form of the graph), mapped where the profile says how its cores lie; why
    others were refused or not mapped; conventional machines, and where each mapped chip costs as much as they.
    """
    reports: list[EnergyReport] = []
    placed: dict[str, Mapped] = {}
    refused: dict[str, str] = {}
    unmapped: dict[str, str] = {}
    for name in profiles:
        profile = load_profile(name)
        try:
            placed |= {profile.id: activity.on(profile)} if "mesh_columns" in profile.limits else {}
        except (MappingError, ProfileError) as reason:
            unmapped[profile.id] = str(reason)
        try:
            reports.append(_estimate(counts, activity.graph, profile, placed.get(profile.id)))
        except EnergyUnavailable as reason:
            refused[name] = str(reason)
    found = comparators(counts, activity.graph)
    meet = [break_even(report, counts, activity.graph, each) for report in reports if report.profile in placed for each in found]
    return {
        "energy": [report.to_dict() for report in reports],
        "energy_refused": refused,
        "energy_loads": {name: asdict(each.load) for name, each in placed.items()},
        "energy_unmapped": unmapped,
        "comparators": [c.to_dict() for c in found],
        "break_even": [m.to_dict() for m in meet],
    }


def _estimate(counts: Counts, graph: Graph, profile: HardwareProfile, placed: Mapped | None) -> EnergyReport:
    load, timed = (placed.load, placed.latency) if placed else (None, None)
    return estimate(counts, graph, profile, load=load, latency=timed, what_if=True)


def write_json(path: Path, data: Any) -> None:
    """JSON with numpy numbers as plain ones, atomically."""
    atomic_write(path, (json.dumps(data, indent=2, default=lambda x: str(x) if isinstance(x, Path) else x.tolist()) + "\n").encode())
