"""`neuromorph energy`: what an inference costs on chips, and what it would cost elsewhere."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from neuromorph.cli import complete
from neuromorph.cli.inputs import Epoch, Inputs, Model, Plastic, Rules, Samples, chosen_learning, load_model_and_spikes
from neuromorph.cli.output import Json, emit, joules, progress_bar, seconds, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from neuromorph.energy import EnergyReport
    from neuromorph.energy.break_even import BreakEven, Meeting
    from neuromorph.energy.comparators import Comparator, Lstm
    from neuromorph.energy.terms import Interval
    from neuromorph.graph import Graph


def energy(
    model: Model,
    inputs: Inputs,
    profile: Annotated[
        list[str] | None, typer.Option(help="Profile name or .toml file; repeat for more [loihi2].", autocompletion=complete.profiles)
    ] = None,
    samples: Samples = None,
    mapped: Annotated[bool, typer.Option("--map", help="Map the graph on each chip: messages, hops, cores, time of a step.")] = False,
    step_us: Annotated[
        float | None, typer.Option(min=0, help="Least time of a step [the graph's dt]; 0, with --map: as fast as it goes.")
    ] = None,
    plastic: Plastic = None,
    epoch: Epoch = 1,
    rules: Rules = 2,
    compare: Annotated[bool, typer.Option("--compare", help="Also on conventional machines: dense, LSTM, CPU, GPU.")] = False,
    lstm: Annotated[str | None, typer.Option(metavar="UNITS[,INPUTS[,STEPS]]", help="LSTM to compare with [equal parameters].")] = None,
    what_if: Annotated[bool, typer.Option(help="Estimate even where the chip lacks a neuron form of the graph.")] = False,
    as_json: Json = False,
) -> None:
    """Estimate energy, power and time per inference from counted spikes, synaptic operations and neuron updates.

    An estimate, never a measurement: lowest, nominal and highest value by the ranges of the profile's sources.

    Example: neuromorph energy runs/demo/model.loihi2_estimate.h5 runs/demo/test.h5 --profile loihi2 --map --compare
    """
    from neuromorph.backends.summarise import default_backend, summarise
    from neuromorph.cli.mapped import recorded
    from neuromorph.counts import of_summary
    from neuromorph.energy import estimate
    from neuromorph.energy.break_even import break_even
    from neuromorph.energy.comparators import comparators
    from neuromorph.energy.mapped import map_and_time
    from neuromorph.errors import EnergyUnavailable
    from neuromorph.hardware import load_profile

    if step_us == 0 and not mapped:
        raise EnergyUnavailable("--step-us 0 (as fast as it goes) needs the time of a step, which a map tells: add --map.")
    graph, spikes, _ = load_model_and_spikes(model, inputs, samples)
    chips, learning = [load_profile(name) for name in profile or ["loihi2"]], chosen_learning(plastic, epoch, rules)
    with progress_bar(default_backend(), as_json) as progress:
        summary = summarise(graph, spikes, progress=progress)
    counts = of_summary(graph, summary)
    least = graph.dt if step_us is None else 1e-6 * step_us
    kept = recorded(graph, spikes, as_json) if mapped else None
    reports: list[EnergyReport] = []
    for chip in chips:
        placed = map_and_time(graph, chip, summary.mean_spikes(), kept, step_seconds=least, learning=learning) if kept else None
        load, timed = (placed.load, placed.latency) if placed else (None, None)
        time = None if timed else least
        reports.append(estimate(counts, graph, chip, load=load, latency=timed, learning=learning, what_if=what_if, step_seconds=time))
    found = comparators(counts, graph, _lstm(lstm, graph, counts.n_steps)) if compare or lstm else ()
    meet = [break_even(report, counts, graph, each) for report in reports for each in found]
    data = {"counts": counts.to_dict(), "energy": [r.to_dict() for r in reports]}
    told = {"comparators": [c.to_dict() for c in found], "break_even": [m.to_dict() for m in meet]} if found else {}
    tables = [part for report in reports for part in (energy_table(report), _scopes_table(report))]
    emit(as_json, data | told, *tables, *_comparator_tables(found, meet))


def _lstm(text: str | None, graph: "Graph", n_steps: int) -> "Lstm | None":
    """Units, inputs a step (by default the graph's), steps (by default those of the run)."""
    from neuromorph.energy.comparators import Lstm
    from neuromorph.errors import EnergyUnavailable

    if text is None:
        return None
    try:
        given = [int(part) for part in text.split(",")]
    except ValueError:
        given = []
    if not 1 <= len(given) <= 3:
        raise EnergyUnavailable(f"--lstm {text}: give UNITS, UNITS,INPUTS or UNITS,INPUTS,STEPS as whole numbers, such as 128,1,784.")
    return Lstm(*given, *(sum(p.n for p in graph.inputs), n_steps)[len(given) - 1 :])


def energy_table(report: "EnergyReport") -> "Table":
    """One estimate with its breakdown."""
    rows = [(t.name, t.scope.replace("_", " "), t.count, *_joules(t)) for t in report.terms]
    mark = " (WHAT IF: the chip is not known to run this graph)" if report.what_if else ""
    columns = ["term", "scope", "count", "lowest", "nominal", "highest"]
    return table(
        f"{report.profile}: energy per inference{mark}", columns, rows, escape(" ".join((*report.reasons, report.warning)).strip())
    )


def _scopes_table(report: "EnergyReport") -> "Table":
    """Scopes, total, and what stands beside it."""
    unknown = ("unknown",) * 3
    rows = [(name.replace("_", " "), *(_joules(sums) if sums else unknown)) for name, sums in report.scopes.items()]
    without = f" (without {', '.join(report.unknown).replace('_', ' ')})" if report.unknown else ""
    rows.append((f"[bold]total{without}", *_joules(report.total)))
    factor = report.discrepancy
    if report.corrected_dynamic and factor:
        rows.append((f"dynamic, times measured / predicted ({factor.lo:g} to {factor.hi:g})", *_joules(report.corrected_dynamic)))
    if report.whole_chips:
        rows.append(("static, whole chips", *_joules(report.whole_chips)))
    if report.latency:
        rows.append(("time the chip needs", *(seconds(x) for x in _ends(report.latency.total))))
    rows.append(("wall time", *(seconds(x) for x in _ends(report.seconds))))
    rows.append(("mean power", *(f"{1e3 * x:.3g} mW" for x in _ends(report.power))))
    rows.append(("energy x delay", *(f"{1e6 * x:.3g} uJ s" for x in _ends(report.edp))))
    caption = f"estimate, not a measurement; not counted: {', '.join(report.not_counted)}"
    return table(f"{report.profile}: in all", ["", "lowest", "nominal", "highest"], rows, caption)


def _comparator_tables(found: "tuple[Comparator, ...]", meet: "list[BreakEven]") -> "Iterator[Table | str]":
    """A table for each network: its energy on every machine, and at which activity each chip costs as much."""
    if not found:
        return
    chips = list(dict.fromkeys(m.profile for m in meet))
    told = {(m.profile, m.network, m.machine): f"{_below(m.dynamic)} / {_below(m.total)}" for m in meet}
    columns = ["on", "lowest", "nominal", "highest", *(f"{chip} costs less" for chip in chips)]
    for network in dict.fromkeys(c.network for c in found):
        own = [c for c in found if c.network == network]
        rows = [(c.machine, *_joules(c.energy), *(told[chip, c.network, c.machine] for chip in chips)) for c in own]
        macs = f"{own[0].macs:,} multiply-accumulates an inference" if own[0].macs else None
        yield table(network, columns, rows, macs)
    yield (
        "costs less: at which mean rate of the neurons, all spikes scaled alike, by dynamic energy / by all known scopes. 45 nm arithmetic "
        "and memory are on paper, without static power; CPUs and GPUs by energies per multiply-accumulate that others measured."
    )


def _below(meeting: "Meeting") -> str:
    return f"below {meeting.rate:.3g} Hz" if meeting.verdict == "below" else meeting.verdict


def _ends(x: "Interval") -> tuple[float, float, float]:
    return x.lo, x.nominal, x.hi


def _joules(x: Any) -> tuple[str, ...]:
    return tuple(joules(end) for end in (x.lo, x.nominal, x.hi))
