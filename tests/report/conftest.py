"""A small real run: random graph, reference runs, quantised, counted, estimated, compared, as the demo leaves it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends.brian2 import Brian2Backend
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.compare import compare, decisions
from neuromorph.counts import count
from neuromorph.demo import Activity, check_and_map, energies
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection, save
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.recording import save_recording
from neuromorph.spikes import Spikes, save_spikes

SIZES = {"input": 12, "excitatory": 16, "inhibitory": 6, "adaptive": 10, "readout": 5}
HIDDEN = ("excitatory", "inhibitory", "adaptive")
PROFILES = ("loihi1", "loihi2", "spinnaker2", "brainscales2")


def random_graph(seed: int, density: float = 0.3, metadata: dict[str, str] | None = None) -> Graph:
    """An LSNN-shaped float graph that fires."""
    rng = np.random.default_rng(seed)
    common = {"dt": 1e-3, "tau_m": 20e-3, "v_th": 0.6, "n_ref": 2}
    populations = (
        Input("input", SIZES["input"]),
        LIF.from_time_constants("excitatory", SIZES["excitatory"], **common),
        LIF.from_time_constants("inhibitory", SIZES["inhibitory"], **common),
        ALIF.from_time_constants("adaptive", SIZES["adaptive"], tau_a=0.1, beta=1.8, **common),
        LI.from_time_constants("readout", SIZES["readout"], dt=1e-3, tau_m=20e-3),
    )
    ends = [("input", h) for h in HIDDEN] + [(a, b) for a in HIDDEN for b in HIDDEN] + [(h, "readout") for h in HIDDEN]
    projections = []
    for source, target in ends:
        shape = SIZES[source], SIZES[target]
        weights = np.abs(rng.normal(1.0, 0.5, shape)) * (rng.random(shape) < density) * (7 if source == "input" else 1.5)
        sign = -1 if source == "inhibitory" else 1
        projections.append(Projection.from_dense(source, target, sign * weights, signs=sign))
    return Graph(1e-3, populations, tuple(projections), metadata or {})


@pytest.fixture(scope="session")
def graph() -> Graph:
    return random_graph(1, metadata={"decision_window": "20", "task": '<b>hostile</b> & "quoted"', "seed": "1"})


@pytest.fixture(scope="session")
def inputs() -> Spikes:
    return Spikes.from_dense(np.random.default_rng(2).random((60, 8, SIZES["input"])) < 0.1, 1e-3)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, graph: Graph, inputs: Spikes) -> Path:
    """The folder of a run, without report; read only (copy it to change it)."""
    return write_run(tmp_path_factory.mktemp("run"), graph, inputs)


def write_run(folder: Path, graph: Graph, inputs: Spikes) -> Path:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, SIZES["readout"], inputs.n_samples)
    chip = load_profile("loihi2")
    integer, quantization = quantize(graph, chip)
    (folder / "recordings").mkdir()
    for name, g in (("initial", random_graph(0, density=0.31)), ("model", graph), (f"model.{chip.id}", integer)):
        save(folder / f"{name}.h5", g)
    save_spikes(folder / "test.h5", {"input": inputs}, labels)
    reference = ReferenceBackend()
    names = [*HIDDEN, "readout"]
    runs = {g.precision: reference.run(g, inputs, states=names) for g in (graph, integer)}
    validation = []
    for g in (graph, integer):
        save_recording(folder / "recordings" / f"reference-{g.precision}.h5", runs[g.precision].select([0]))
        comparison = compare(g, Brian2Backend().run(g, inputs.select([0, 1, 2]), states=names), runs[g.precision].select([0, 1, 2]))
        validation.append(comparison.to_dict())
    flipped = graph.replace(projections=(_flip(graph.projections[0]), *graph.projections[1:]))
    changed, right = reference.run(flipped, inputs.select([0]), states=names), runs["float"].select([0])
    validation.append(compare(graph, changed, right).to_dict() | {"backend": "torch"})
    (folder / "differences").mkdir()
    for side, recording in (("recording", replace(changed, backend="torch")), ("against", right)):
        save_recording(folder / "differences" / f"{len(validation) - 1}-{side}.h5", recording)
    save_recording(folder / "recordings" / "torch-float.h5", replace(reference.run(flipped, inputs.select([0])), backend="torch"))
    counts = count(integer, inputs, runs["integer"])
    activity = Activity.of(integer, {"input": inputs, **runs["integer"].spikes})
    summary = {
        "accuracy": {p: float((decisions(r, 20) == labels).mean()) for p, r in runs.items()}
        | {"torch": 0.9375, "test_samples": len(labels)},
        "active_synapses": graph.n_synapses,
        "requested_synapses": graph.n_synapses,
        "connectivity": 0.3,
        "validation": validation,
        "counts": counts.to_dict(),
        "saturations": dict(runs["integer"].saturations),
        "quantization": quantization.to_dict(),
        "profile": chip.id,
        "args": {"training": {"epochs": 3, "note": "<script>alert(1)</script>"}, "profile": "loihi2"},
        "versions": {"python": "3.12.1", "numpy": np.__version__, "lava-nc": None},
        "seconds": {"train": 61.25, "export": 0.31, "total": 61.56},
    }
    summary |= check_and_map(folder, activity, chip) | energies(PROFILES, counts, activity)
    history = [{"epoch": e, "loss": 2.0 / e, "train_accuracy": 1 - 0.5 / e, "validation_accuracy": 0.9 - 0.4 / e} for e in (1, 2, 3)]
    for name, data in (("summary", summary), ("history", history)):
        (folder / f"{name}.json").write_text(json.dumps(data, indent=2, default=lambda x: x.tolist()))
    return folder


def _flip(projection: Projection) -> Projection:
    weights = projection.weights.copy()
    weights[0] *= -20
    return Projection(
        projection.name, projection.source, projection.target, projection.indptr, projection.indices, weights, projection.delays
    )
