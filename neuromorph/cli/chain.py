"""Commands on saved graphs: look at one, quantise it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuromorph.cli import complete
from neuromorph.cli.inputs import CHIP, Model
from neuromorph.cli.output import Json, cell, emit, progress_bar, table
from neuromorph.cli.plasticity import report_table, rules, rules_table

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from neuromorph.calibrate import Calibration
    from neuromorph.cluster import ClusterReport
    from neuromorph.graph import Graph
    from neuromorph.hardware import HardwareProfile
    from neuromorph.quantize import QuantizationReport
    from neuromorph.share_alpha import SharedAlpha
    from neuromorph.spikes import Spikes

SIGNS = {"mixed": "+-", "excitatory": "+", "inhibitory": "-"}


def inspect(model: Model, as_json: Json = False) -> None:
    """Show what a graph file holds: populations, projections, fan-in and fan-out, constants.

    Example: neuromorph inspect runs/demo/model.h5
    """
    from neuromorph.graph import load

    graph = load(model)
    populations, projections, learned = _populations(graph), _projections(graph), rules(graph)
    data = {
        "file": str(model),
        "precision": graph.precision,
        "dt": graph.dt,
        "neurons": graph.n_neurons,
        "synapses": graph.n_synapses,
        "digest": graph.digest(),
        "populations": populations,
        "projections": projections,
        "plasticity": learned,
        "metadata": dict(graph.metadata),
    }
    title = f"{model}: {graph.precision} graph, {graph.n_neurons} neurons, {graph.n_synapses:,} synapses, dt {graph.dt * 1e3:g} ms"
    shown = [(p["name"], p["kind"], p["n"], p.get("reset"), p.get("adaptation"), _told(p["constants"])) for p in populations]
    listed = [
        (
            q["name"],
            q["synapses"],
            100 * q["density"],
            "-".join(map(str, sorted(set(q["delays"])))),
            q["sign_mode"],
            q["weight_exp"],
            _range(q["weights"]),
        )
        for q in projections
    ]
    emit(
        as_json,
        data,
        table(title, ["population", "kind", "n", "reset", "adaptation", "constants"], shown),
        table("Projections", ["projection", "synapses", "density %", "delay (steps)", "signs", "exp", "weights"], listed),
        *([rules_table(learned)] if learned else []),
    )


def quantize(
    model: Model,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Integer graph to write [MODEL.<profile>.h5].")] = None,
    profile: Annotated[str, typer.Option(help=CHIP, autocompletion=complete.profiles)] = "loihi2",
    calibrate: Annotated[Path | None, typer.Option(help="Spike file: choose scales and exponents by simulation on its samples.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Calibrate on the first N samples.")] = 64,
    cluster: Annotated[bool, typer.Option("--cluster", help="Bring constants to as few settings as a core can hold.")] = False,
    seed: Annotated[int, typer.Option(help="Of the clustering and of stochastic rounding; the same seed gives the same graph.")] = 0,
    rounding: Annotated[str, typer.Option(help="Of plastic synapses while they learn: stochastic or nearest.")] = "stochastic",
    share_alpha: Annotated[int, typer.Option(min=0, help="Split plastic projections into ones of one alpha, of at most N sizes.")] = 0,
    eligibility: Annotated[Path | None, typer.Option(help="Spike file: bound E where 99 % of it lies on its samples.")] = None,
    third_factors: Annotated[Path | None, typer.Option(help="Third factors (.npz) on the samples of --calibrate or --eligibility.")] = None,
    as_json: Json = False,
) -> None:
    """Turn a float graph into the integers of a chip: 8-bit weights, 12-bit decays, 17-bit thresholds.

    With --calibrate, into those that fire most like the floats on sample spikes: it takes a while (some 50 simulations).
    With --share-alpha 3 --eligibility FILE, plastic projections become what Loihi's own learning rules can express.
    With --cluster, decays, refractory periods and thresholds that differ from neuron to neuron share settings, as few as
    a core of the chip can hold; without it none is changed, and the table shows how many there are.

    Example: neuromorph quantize runs/demo/model.h5 --profile loihi2 --calibrate runs/demo/test.h5
    """
    import numpy as np

    from neuromorph.cluster import cluster as cluster_constants
    from neuromorph.graph import load, save
    from neuromorph.hardware import load_profile
    from neuromorph.quantize import quantize as to_integers
    from neuromorph.share_alpha import share_alpha as share_alphas

    chip = load_profile(profile)
    floats, shared = share_alphas(load(model), share_alpha) if share_alpha else (load(model), ())
    signals = _signals(third_factors, samples)
    found = _calibrate(floats, chip, calibrate, samples, signals, as_json) if calibrate else None
    graph, report = to_integers(floats, chip, found.grid if found else None, rounding=_rounding(rounding), seed=seed)
    graph = _bounded(graph, eligibility, samples, signals) if eligibility else graph
    graph, clustered = cluster_constants(graph, chip, np.random.default_rng(seed)) if cluster else (graph, None)
    target = out or model.with_suffix(f".{chip.id}.h5")
    save(target, graph)
    data = {"file": str(target), **report.to_dict(), "calibration": found.to_dict() if found else None}
    data["shared_alpha"] = [asdict(each) for each in shared]
    emit(
        as_json,
        {**data, "clusters": clustered.to_dict() if clustered else None},
        *_quantization_tables(f"{target}: integers for {chip.id}", report, _improvement(found)),
        *([_cluster_table(clustered)] if clustered else []),
        *([_shared_table(shared)] if shared else []),
    )


def _rounding(name: str) -> Any:
    from neuromorph.errors import QuantizationError
    from neuromorph.graph.plasticity import ROUNDINGS

    if name not in ROUNDINGS:
        raise QuantizationError(f"--rounding {name}; allowed: {', '.join(ROUNDINGS)}.")
    return name


def _quantization_tables(title: str, report: "QuantizationReport", caption: str | None) -> "list[Table | str]":
    rows = [
        (p.name, SIGNS[p.sign_mode], f"{p.scale:.3g}", p.weight_exp, p.synapses, p.lost, p.clipped, 100 * p.relative_error)
        for p in report.projections
    ]
    constants = [
        (
            p.name,
            p.scale,
            _of(p.settings, report.settings_allowed),
            _of(p.thresholds, report.thresholds_allowed),
            ", ".join(f"{k} {100 * v:.2g} %" for k, v in p.errors.items()),
        )
        for p in report.populations
    ]
    return [
        table(title, ["projection", "signs", "scale", "exp", "synapses", "lost", "clipped", "error %"], rows),
        table("Constants", ["population", "scale", "settings", "thresholds", "largest relative error"], constants, caption),
        *([report_table(report.plastic)] if report.plastic else []),
        *report.notes,
    ]


def _cluster_table(clustered: "ClusterReport") -> "Table":
    rows = [
        (
            p.name,
            f"{p.settings[0]} -> {_of(p.settings[1], clustered.settings_allowed)}",
            f"{p.thresholds[0]} -> {_of(p.thresholds[1], clustered.thresholds_allowed)}",
            ", ".join(f"{k} {100 * c.mean:.2g} % (largest {100 * c.largest:.2g} %)" for k, c in p.changes.items()) or None,
        )
        for p in clustered.populations
    ]
    return table("Clustered constants", ["population", "settings", "thresholds", "mean relative error"], rows)


def _of(number: int, allowed: int | None) -> str:
    return f"{number} of {allowed}" if allowed is not None else str(number)


def _calibrate(
    graph: "Graph", chip: "HardwareProfile", inputs: Path, samples: int, signals: "dict[str, np.ndarray]", quiet: bool
) -> "Calibration":
    from neuromorph.calibrate import calibrate

    with progress_bar("calibrate", quiet, "grids") as progress:
        return calibrate(graph, chip, _first(inputs, samples), third_factors=signals, progress=progress)


def _bounded(graph: "Graph", inputs: Path, samples: int, signals: "dict[str, np.ndarray]") -> "Graph":
    from neuromorph.backends import backend
    from neuromorph.quantize_plastic import limit_eligibility, quantize_third_factors

    plastic = [q.name for q in graph.plastic]
    third = quantize_third_factors(graph, signals)
    seen = backend("reference").run(graph, _first(inputs, samples), states=plastic, third_factors=third)
    return limit_eligibility(graph, {name: seen.states[name]["E"] for name in plastic if "E" in seen.states[name]})


def _first(path: Path, samples: int) -> "dict[str, Spikes]":
    import numpy as np

    from neuromorph.spikes import load_spikes

    return {name: s.select(np.arange(min(samples, s.n_samples))) for name, s in load_spikes(path).items()}


def _signals(path: Path | None, samples: int) -> "dict[str, np.ndarray]":
    from neuromorph.cli.simulate import load_third_factors

    return load_third_factors(path, samples) if path else {}


def _shared_table(shared: "tuple[SharedAlpha, ...]") -> "Table":
    rows = [(s.name, ", ".join(f"{alpha:.3g}" for alpha in s.alphas), s.fixed, 100 * s.error) for s in shared]
    return table("Shared alphas", ["projection", "alphas", "not plastic", "error %"], rows)


def _improvement(found: "Calibration | None") -> str | None:
    if found is None:
        return None
    before, after = ((100 * m.spikes, 100 * m.readout) for m in (found.plain, found.mismatch))
    return (
        f"calibrated on {found.samples} samples: {before[0]:.3g} -> {after[0]:.3g} % of spikes differ, "
        f"readout error {before[1]:.3g} -> {after[1]:.3g} %"
    )


def _populations(graph: "Graph") -> list[dict[str, Any]]:
    from neuromorph.graph import Input
    from neuromorph.graph.populations import parameters

    found: list[dict[str, Any]] = []
    for p in graph.populations:
        forms = {form: getattr(p, form) for form in p.FORMS}
        fan = {} if isinstance(p, Input) else {"fan_in_mean": float(graph.fan_in(p.name).mean())}
        fan |= {"fan_out_mean": float(graph.fan_out(p.name).mean())}
        constants = {name: _span(array) for name, array in parameters(p).items()}
        found.append({"name": p.name, "kind": type(p).__name__, "n": p.n, **forms, **fan, "constants": constants})
    return found


def _projections(graph: "Graph") -> list[dict[str, Any]]:
    import numpy as np

    return [
        {
            "name": q.name,
            "synapses": int(np.count_nonzero(q.used)),
            "density": q.n_synapses / (q.n_source * graph.population(q.target).n),
            "delays": [int(q.delays.min(initial=q.max_delay)), q.max_delay],
            "weights": _span(q.weights),
            "weight_exp": q.weight_exp,
            "sign_mode": q.sign_mode,
        }
        for q in graph.projections
    ]


def _span(array: Any) -> dict[str, float]:
    return {"min": float(array.min()), "max": float(array.max())} if array.size else {}


def _range(span: dict[str, float]) -> str:
    if not span:
        return ""
    low, high = span["min"], span["max"]
    return cell(low) if low == high else f"{low:.4g} .. {high:.4g}"


def _told(constants: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{name} {_range(span)}" for name, span in constants.items() if span != {"min": 0.0, "max": 0.0})
