"""The page of a run of the plastic demo: one HTML file with its pictures inside, nothing to load, readable in light, dark and print."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from neuromorph.errors import FormatError, NeuromorphError
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, load
from neuromorph.recording import Recording, load_recording
from neuromorph.report import plastic_plots, plots
from neuromorph.report.environment import template
from neuromorph.report.pieces import Pieces, integer_name, read_json
from neuromorph.report.style import label, to_svg
from neuromorph.spikes import Spikes, load_spikes

PER_EPISODE = "energy per episode"
LEARNING = "energy.synapse_learn_update"


@dataclass(frozen=True, eq=False)
class PlasticRun:
    """A folder of the plastic demo. `inputs`, `third` [n_steps], `recording`: of one episode of the `integer` graph; `gaps`: by file,
    why it is not shown.
    """

    summary: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    model: Graph | None
    integer: Graph | None
    inputs: Mapping[str, Spikes] | None
    third: np.ndarray | None
    recording: Recording | None
    gaps: Mapping[str, str]


def write_plastic(folder: str | os.PathLike[str], *, title: str = "A spiking network that learns on chip") -> Path:
    """Write `plastic.html` into a folder that the plastic demo left, from what lies in it, atomically.

    Pieces that are missing or damaged leave a sentence in their place.

    Raises:
        NeuromorphError: the folder has no readable summary.json.
    """
    path = Path(folder) / "plastic.html"
    atomic_write(path, render(read_plastic(Path(folder)), title).encode())
    return path


def is_plastic(folder: Path) -> bool:
    """Whether a folder's summary is one of the plastic demo."""
    try:
        found = json.loads((folder / "summary.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("demo") == "plastic"


def read_plastic(folder: Path) -> PlasticRun:
    """Read a folder of the plastic demo; only summary.json has to be there.

    Raises:
        NeuromorphError: there is no summary.json, or it does not hold a JSON object.
    """
    if not (folder / "summary.json").is_file():
        raise NeuromorphError(f"{folder}: no summary.json; give the folder of a run, such as `neuromorph demo --plastic` leaves.")
    summary = _json(folder / "summary.json", dict)
    piece = Pieces(folder)
    integer = piece(integer_name(folder, summary), _integer)
    return PlasticRun(
        summary=summary,
        history=tuple(piece("history.json", _history) or ()),
        model=piece("model.h5", load),
        integer=integer,
        inputs=piece("episode_inputs.h5", load_spikes),
        third=piece("episode_third.npz", _third),
        recording=piece("episode.h5", lambda path: _recording(path, integer)),
        gaps=piece.gaps,
    )


def _json(path: Path, kind: type) -> Any:
    found = read_json(path)
    if not isinstance(found, kind):
        raise FormatError(f"{path} holds a {type(found).__name__}, wanted a {kind.__name__} of results; run the demo again.")
    return found


def _history(path: Path) -> list[Mapping[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(path)
    rows = _json(path, list)
    try:
        counts = {len([float(x) for x in row["accuracy"]]) for row in rows if float(row["update"]) > 0}
    except (TypeError, KeyError, ValueError) as error:
        raise FormatError(f"it holds no accuracies by update ({error!r}); run the demo again.") from error
    if len(counts) != 1 or 0 in counts:
        raise FormatError("its rows have no accuracies, or of different trials; run the demo again.")
    return rows


def _integer(path: Path) -> Graph:
    graph = load(path)
    if graph.precision != "integer" or len(graph.plastic) != 1:
        raise FormatError("it is no graph of integers with one plastic projection.")
    return graph


def _third(path: Path) -> np.ndarray:
    """The only signal of the file, of the first sample [n_steps]."""
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            ((_, signal),) = found.items()
            return np.asarray(signal, np.float64)[:, 0]
    except (ValueError, OSError, EOFError, BadZipFile, IndexError, TypeError) as error:
        raise FormatError(f"it does not hold one third factor by step and sample ({error}); run the demo again.") from error


def _recording(path: Path, integer: Graph | None) -> Recording:
    recording = load_recording(path)
    if integer is None:
        raise FormatError("it is of the integer graph, which is not there.")
    (name,) = (q.name for q in integer.plastic)
    states = recording.states.get(name, {})
    if recording.graph_digest != integer.digest() or not {"H", "E"} <= set(states) or not recording.n_samples:
        raise FormatError("it is no recording of the integer graph with H and E of its plastic projection.")
    return recording


def render(run: PlasticRun, title: str) -> str:
    """The page of a run."""
    s = run.summary
    return template("plastic.html").render(
        title=title,
        s=s,
        gaps=run.gaps,
        figures={name: Markup(to_svg(ax, name, what)) for name, what, ax in _figures(run)},
        full_colour=_thresholds(run.integer, run.recording)[0] if run.integer and run.recording else None,
        learning={e.get("profile"): t for e in s.get("energy") or () for t in e.get("terms") or () if t.get("quantity") == LEARNING},
        kinds=list(dict.fromkeys(kind for row in (s.get("lava") or {}).get("episodes") or () for kind in row.get("kinds") or ())),
        error_names=list(dict.fromkeys(x for p in (s.get("quantization") or {}).get("plastic") or () for x in p.get("errors") or ())),
        digests={name: g.digest() for name, g in (("model", run.model), ("integer", run.integer)) if g},
    )


def _figures(run: PlasticRun) -> Iterator[tuple[str, str, Axes]]:
    """Name, title and axis of what there is something to draw of."""
    accuracy = run.summary.get("accuracy") or {}
    if accuracy.get("curves") and accuracy.get("ceiling"):
        yield "trials", "Right answers by trial of the episode", plastic_plots.by_trial(accuracy["curves"], accuracy["ceiling"])
    if run.history:
        yield "training", "Right answers by updates of training", plastic_plots.training_curve(run.history)
    if run.recording and run.integer:
        yield from _weights(run.integer, run.recording)
        told = run.summary.get("episode") or {}
        if told.get("trials") and run.inputs and run.third is not None and len(run.third) == run.recording.n_steps:
            drawn = plastic_plots.episode(run.integer, run.inputs, run.third, run.recording, told["trials"], told.get("target", ""))
            yield "episode", "One episode: spikes, readout, third factor, eligibility and learned weights", drawn
    if estimates := [e for e in run.summary.get("energy") or () if e.get("scopes")]:
        yield (
            "energy",
            "Energy per episode by chip, lowest to highest, nominal marked",
            label(plots.energy_bars(estimates), PER_EPISODE, ""),
        )
    for index, estimate in enumerate(run.summary.get("energy") or ()):
        if estimate.get("terms"):
            yield (
                f"terms-{index}",
                f"Energy per episode on {estimate.get('profile')} by term",
                label(plots.energy_terms(estimate), PER_EPISODE, ""),
            )


def _weights(graph: Graph, recording: Recording) -> Iterator[tuple[str, str, Axes]]:
    """Weights before the episode, what it learned, weights after it, all in the same colours."""
    (q,) = graph.plastic
    n, (largest, weights) = graph.population(q.target).n, _thresholds(graph, recording)
    for (name, values), what in zip(weights.items(), ("before", "learned in", "after")):
        yield f"weights-{name}", f"Weights {what} the episode", plastic_plots.matrix(values, q, n, largest)


def _thresholds(graph: Graph, recording: Recording) -> tuple[float, dict[str, np.ndarray]]:
    """The largest, and all weights "before", "learned", "after" [n_synapses], in thresholds of the neurons that they lead to."""
    (q,) = graph.plastic
    before = plastic_plots.fixed_weights(graph, q)
    learned = plastic_plots.learned_weights(graph, q, recording.states[q.name]["H"][-1, 0].astype(np.float64))
    weights = {"before": before, "learned": learned, "after": before + learned}
    return float(np.abs(np.stack(list(weights.values()))).max()), weights
