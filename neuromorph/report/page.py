"""The report of a run: one HTML file with its pictures inside, nothing to load, readable in light, dark and print."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from neuromorph.files import atomic_write
from neuromorph.graph import Graph
from neuromorph.mapping import Traffic, traffic
from neuromorph.recording import Recording
from neuromorph.report import plots
from neuromorph.report.chip import OnChip, compared
from neuromorph.report.cores import core_grid
from neuromorph.report.environment import template
from neuromorph.report.folder import Run, read_run
from neuromorph.report.style import to_svg
from neuromorph.report.validation import section
from neuromorph.spikes import Spikes


def write_report(folder: str | os.PathLike[str], *, title: str = "From training to neuromorphic hardware") -> Path:
    """Write `report.html` into a run folder, from what lies in it (see `neuromorph.report.folder`), atomically.

    Pieces that are missing or damaged leave a sentence in their place.

    Raises:
        NeuromorphError: the folder has no readable summary.json.
    """
    path = Path(folder) / "report.html"
    atomic_write(path, render(read_run(Path(folder)), title).encode())
    return path


def render(run: Run, title: str) -> str:
    """The page of a run."""
    s = run.summary
    model = run.graphs.get("model")
    return template("report.html").render(
        title=title,
        s=s,
        gaps=run.gaps,
        **section(s.get("validation") or [], run.differences),
        counted_synapses=model.n_synapses if model else None,
        metadata=dict(model.metadata) if model else {},
        graphs={kind: {"digest": g.digest(), "synapses": g.n_synapses, "neurons": g.n_neurons} for kind, g in run.graphs.items()},
        label=run.label,
        samples=list(_samples(run)),
        rewiring=list(_rewiring(run.graphs)),
        figures=dict(_figures(run)),
        counts=_counts(s.get("counts") or {}),
        compared=compared(s.get("comparators") or (), s.get("break_even") or ()),
        mapped_chips=list(dict.fromkeys(m.get("profile") for m in s.get("break_even") or ())),
        arguments=dict(_flat(s.get("args") or {})),
        error_names=_union(p.get("errors") or {} for p in (s.get("quantization") or {}).get("populations", ())),
        scope_names=_union(e.get("scopes") or {} for e in s.get("energy") or ()),
        last_epoch=dict(run.history[-1]) if run.history else {},
    )


def _figures(run: Run) -> Iterator[tuple[str, Markup]]:
    """The page's single figures by name; those for which there is something to draw."""
    for kind, title in (("initial", "before"), ("model", "after")):
        if kind in run.graphs:
            yield (
                f"connectivity-{kind}",
                _figure(plots.connectivity(run.graphs[kind]), f"connectivity-{kind}", f"Weight matrix {title} training"),
            )
    if "model" in run.graphs:
        yield "weights", _figure(plots.weights(run.graphs["model"]), "weights", "Histogram of the trained weights")
    first = next(iter(run.recordings.values()), None)
    if first:
        yield "rates", _figure(plots.rates(_populations(run, first)), "rates", "Histogram of firing rates by population")
    if run.history:
        yield "learning", _figure(plots.learning_curve(run.history), "learning", "Accuracy by epoch")
    if run.on_chip:
        yield "cores", _figure(_cores(run, run.on_chip), "cores", "Cores in use, and messages between their tiles")
    yield from _energies(run.summary.get("energy") or ())


def _cores(run: Run, on_chip: OnChip) -> Axes:
    """The map with its messages; without where the spikes are not known."""
    found, n = on_chip.found, on_chip.found.partition.n_cores
    silent = Traffic(np.zeros((n, n)), np.zeros(n))
    messages = traffic(run.graphs["integer"], found.partition, run.mean_spikes) if run.mean_spikes else silent
    return core_grid(found, messages, on_chip.profile)


def _energies(energy: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Markup]]:
    """All chips together, and each chip's breakdown."""
    if estimates := [e for e in energy if e.get("scopes")]:
        yield "energy", _figure(plots.energy_bars(estimates), "energy", "Energy per inference by chip, lowest to highest, nominal marked")
    for index, estimate in enumerate(energy):
        if estimate.get("terms"):
            title = f"Energy per inference on {estimate.get('profile')} by term, lowest to highest, nominal marked"
            yield f"terms-{index}", _figure(plots.energy_terms(estimate), f"terms-{index}", title)


def _samples(run: Run) -> Iterator[dict[str, Any]]:
    """Raster and readout of the same sample from each simulator, and how far it is from the reference's."""
    window = (run.graphs["model"].metadata if "model" in run.graphs else {}).get("decision_window", "")
    for index, recording in enumerate(run.recordings.values()):
        name = f"{recording.backend}, {recording.precision}"
        reference = run.recordings.get(f"reference-{recording.precision}")
        spikes = sum(len(s.select([0])) for s in recording.spikes.values())
        raster = plots.raster(_populations(run, recording))
        row: dict[str, Any] = {
            "name": name,
            "spikes": spikes,
            "differing": None if reference in (None, recording) else _differing(recording, reference),
        }
        row["raster"] = _figure(raster, f"raster-{index}", f"Spike raster of one sample, {name}: {spikes} spikes")
        if recording.readouts:
            axis = plots.readouts(recording, target=run.label, window=int(window) if window.isdigit() else None)
            row["readout"] = _figure(axis, f"readout-{index}", f"Readout traces of one sample, {name}")
        yield row


def _figure(ax: Axes, name: str, title: str) -> Markup:
    return Markup(to_svg(ax, name, title))


def _populations(run: Run, recording: Recording) -> dict[str, Spikes]:
    """Spikes of the sample by population, inputs first, in the graph's order where the graph is known."""
    spikes = {name: s for name, s in run.inputs.items() if s.n_steps == recording.n_steps} | dict(recording.spikes)
    order = [p.name for g in run.graphs.values() for p in g.populations]
    return dict(sorted(spikes.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def _differing(recording: Recording, reference: Recording) -> int | None:
    """Spikes that only one of two recordings has; None where they are not of one shape."""
    pairs = [(s, reference.spikes.get(name)) for name, s in recording.spikes.items()]
    if any(other is None or s.shape != other.shape for s, other in pairs):
        return None
    return sum(int(np.count_nonzero(s.to_dense() != other.to_dense())) for s, other in pairs if other is not None)


def _rewiring(graphs: Mapping[str, Graph]) -> Iterator[dict[str, Any]]:
    """Synapses of each projection before and after training, how many stayed in place, and density after."""
    before, after = graphs.get("initial"), graphs.get("model")
    known = {q.name: g for g in (before, after) if g for q in g.projections}
    for name, graph in known.items():
        q = graph.projection(name)
        old, new = _synapses(before, name), _synapses(after, name)
        possible = graph.population(q.source).n * graph.population(q.target).n
        counts = {"before": len(old) if before else None, "after": len(new) if after else None}
        kept = len(old & new) if before and after else None
        yield {"name": name, **counts, "kept": kept, "possible": possible, "density": len(new) / possible if after else None}


def _synapses(graph: Graph | None, name: str) -> set[tuple[int, int]]:
    """(source, target) of every nonzero synapse of a projection."""
    found = [q for q in graph.projections if q.name == name] if graph else []
    return {(int(i), int(j)) for q in found for i, j in zip(q.rows[q.weights != 0], q.indices[q.weights != 0])}


def _counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Rows by population and by projection, from `Counts.to_dict`."""
    mean, total = counts.get("per_inference") or {}, counts.get("totals") or {}
    populations = [
        {
            "name": name,
            "rate": (counts.get("rates_hz") or {}).get(name),
            **{kind: (mean.get(kind) or {}).get(name) for kind in ("spikes", "messages", "updates", "active_updates")},
            **{f"total_{kind}": (total.get(kind) or {}).get(name) for kind in ("spikes", "messages", "updates", "active_updates")},
        }
        for name in _union(mean.get(kind) or {} for kind in ("spikes", "updates"))
    ]
    projections = [
        {"name": name, "synops": value, "total": (total.get("synops") or {}).get(name)}
        for name, value in (mean.get("synops") or {}).items()
    ]
    return {"populations": populations, "projections": projections, "sum": {kind: sum(values.values()) for kind, values in mean.items()}}


def _union(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Keys of all, in the order first met."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as "outer.inner"."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
