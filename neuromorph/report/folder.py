"""What a run left in its folder, read once; what is missing or damaged becomes a sentence instead."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromorph.agreement import Excerpt
from neuromorph.differences import Difference
from neuromorph.errors import FormatError, NeuromorphError
from neuromorph.graph import Graph, load
from neuromorph.recording import Recording, load_recording
from neuromorph.report.chip import OnChip, read_map, read_mean_spikes
from neuromorph.report.pieces import Pieces, integer_name, read_json
from neuromorph.spikes import Spikes, load_labels, load_spikes

BACKENDS = ("reference", "torch", "fast", "brian2", "lava")
PRECISIONS = ("float", "integer")


@dataclass(frozen=True)
class Run:
    """A run folder. `graphs`: those there are of "initial", "model", "integer"; `inputs`, `label`: the first test sample;
    `recordings`: one-sample recordings by "backend-precision", the reference first; `differences`: the samples in which simulators
    part; `on_chip`: the map of the integer graph; `mean_spikes` of its neurons in an inference, by population; `gaps`: by file, why it
    is not shown.
    """

    folder: Path
    summary: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    graphs: Mapping[str, Graph]
    inputs: Mapping[str, Spikes]
    label: int | None
    recordings: Mapping[str, Recording]
    differences: tuple[Excerpt, ...]
    on_chip: OnChip | None
    mean_spikes: Mapping[str, np.ndarray] | None
    gaps: Mapping[str, str]


def read_run(folder: Path) -> Run:
    """Read a run folder; only summary.json has to be there.

    Raises:
        NeuromorphError: there is no summary.json, or it does not hold a JSON object.
    """
    summary = _summary(folder)
    piece = Pieces(folder)
    files = {"initial": "initial.h5", "model": "model.h5", "integer": integer_name(folder, summary)}
    graphs = {kind: graph for kind, name in files.items() if (graph := piece(name, load)) is not None}
    inputs = {name: s.select([0]) for name, s in (piece("test.h5", load_spikes) or {}).items() if s.n_samples}
    labels = piece("test.h5", load_labels)
    integer, chip = graphs.get("integer"), (summary.get("args") or {}).get("profile")
    recordings = {stem: r for stem in _recordings(folder) if (r := piece(f"recordings/{stem}.h5", load_recording)) is not None}
    return Run(
        folder=folder,
        summary=summary,
        history=tuple(piece("history.json", _history) or ()),
        graphs=graphs,
        inputs=inputs,
        label=None if labels is None or not len(labels) else int(labels[0]),
        recordings={stem: r for stem, r in recordings.items() if r.n_samples},
        differences=tuple(_differences(summary.get("validation") or [], graphs, piece)),
        on_chip=piece("map.json", lambda path: read_map(path, integer, chip)),
        mean_spikes=piece("mean_spikes.json", lambda path: read_mean_spikes(path, integer)),
        gaps=piece.gaps,
    )


def _summary(folder: Path) -> Mapping[str, Any]:
    path = folder / "summary.json"
    if not path.is_file():
        raise NeuromorphError(f"{folder}: no summary.json; give the folder of a run, such as `neuromorph demo` leaves in runs/demo.")
    summary = read_json(path)
    if not isinstance(summary, dict):
        raise FormatError(f"{path} holds a {type(summary).__name__}, wanted an object with the results of a run.")
    return summary


def _differences(rows: Sequence[Mapping[str, Any]], graphs: Mapping[str, Graph], piece: Callable[..., Any]) -> Iterator[Excerpt]:
    """Of every comparison that found a difference, the two recordings of that sample in differences/."""
    for number, row in enumerate(rows):
        graph = graphs.get("integer" if row.get("precision") == "integer" else "model")
        if graph is None or not isinstance(row.get("first"), Mapping):
            continue
        both = [piece(f"differences/{number}-{side}.h5", load_recording) for side in ("recording", "against")]
        if None not in both:
            yield Excerpt(graph, Difference(**row["first"]), *both)


def _history(path: Path) -> list[Mapping[str, Any]]:
    history = read_json(path)
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise FormatError(f"{path} holds no list of objects, one an epoch.")
    return history


def _recordings(folder: Path) -> list[str]:
    """Stems of the recordings there are, in the order floats, integers and the reference first."""
    order = {f"{backend}-{precision}": i for i, (precision, backend) in enumerate((p, b) for p in PRECISIONS for b in BACKENDS)}
    return sorted((path.stem for path in folder.glob("recordings/*.h5")), key=lambda stem: (order.get(stem, len(order)), stem))
