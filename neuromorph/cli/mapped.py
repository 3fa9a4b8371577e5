"""What a map comes to: tables for people, numbers for programs. With spikes also what every core does, costs, and how long it takes."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from neuromorph.cli.output import progress_bar, table

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from neuromorph.energy.cores import CoreEnergy
    from neuromorph.energy.latency import Latency
    from neuromorph.graph import Graph
    from neuromorph.hardware import HardwareProfile
    from neuromorph.mapping import ChipMap, CoreLoad, Load
    from neuromorph.spikes import Spikes

SHOWN = 16  # cores in the table of a map
RECORDED = 64  # samples of which spikes are kept, for energy by core and time
DONE = ("synops", "auxiliary_synops", "updates_active", "updates", "spikes", "messages_out", "messages_in")


@dataclass(frozen=True, eq=False)
class MappedRun:
    """The mean inference on a mapped graph: `load` of all samples, the rest of those recorded. `refused`: what cannot be told, and why."""

    load: "Load"
    cores: "CoreLoad"
    energy: "CoreEnergy | None"
    latency: "Latency | None"
    refused: tuple[str, ...]


def run_on(
    graph: "Graph", found: "ChipMap", chip: "HardwareProfile", inputs: "dict[str, Spikes]", mean: "dict[str, np.ndarray]", quiet: bool
) -> MappedRun:
    """`mean`: spikes of every neuron in the mean inference of all samples."""
    from neuromorph.energy.cores import core_energy
    from neuromorph.energy.latency import latency
    from neuromorph.errors import EnergyUnavailable
    from neuromorph.mapping import core_load, load_of

    spikes = recorded(graph, inputs, quiet)
    cores = core_load(graph, found.partition, spikes, chip)
    energy, timed, refused = None, None, []
    try:
        energy = core_energy(cores, chip)
    except EnergyUnavailable as error:
        refused.append(str(error))
    try:
        timed = latency(graph, found, spikes, chip)
    except EnergyUnavailable as error:
        refused.append(str(error))
    return MappedRun(load_of(graph, found, mean, chip), cores, energy, timed, tuple(refused))


def recorded(graph: "Graph", inputs: "dict[str, Spikes]", quiet: bool) -> "dict[str, Spikes]":
    """Spikes of every population that emits any, on the first samples."""
    import numpy as np

    from neuromorph.backends import backend
    from neuromorph.backends.summarise import default_backend

    some = {name: s.select(np.arange(min(RECORDED, s.n_samples))) for name, s in inputs.items()}
    with progress_bar(f"{default_backend()}, spikes kept", quiet) as progress:
        return {**some, **backend(default_backend()).run(graph, some, progress=progress).spikes}


def described(found: "ChipMap", chip: "HardwareProfile", run: MappedRun | None) -> dict[str, Any]:
    """The map as in its file, and all that tables show of it."""
    data, full = found.to_dict(), found.fullness(chip)
    for core, each in enumerate(data["cores"]):
        each["fullest"] = full[each["core"]]
        if run:
            each["inference"] = {name: float(getattr(run.cores, name)[core]) for name in DONE}
            each["inference"]["energy"] = asdict(run.energy.cores[core]) if run.energy else None
    greedy = found.placement.greedy_cost
    data["saved"] = 1 - found.placement.cost / greedy if greedy else 0.0
    if not run:
        return {**data, "load": None, "energy": None, "latency": None, "refused": []}
    energy = {name: value for name, value in run.energy.to_dict().items() if name != "cores"} if run.energy else None
    timed = run.latency.to_dict() if run.latency else None
    return {**data, "load": asdict(run.load), "energy": energy, "latency": timed, "refused": list(run.refused)}


def core_table(data: dict[str, Any], everything: bool) -> "Table":
    """The fullest cores of a map that is `described`."""
    cores = sorted(data["cores"], key=lambda c: -c["fullest"])[: None if everything else SHOWN]
    columns = ["core", "chip", "tile", "neurons", "fullest resource %"]
    columns += [*(["synops"] if data["load"] else []), *(["energy nJ"] if data["energy"] else [])]
    rows = [
        (
            c["core"],
            c["chip"],
            f"{c['column']}, {c['row']}",
            ", ".join(f"{name} {a}-{b - 1}" for name, a, b in c["slices"]),
            100 * c["fullest"],
            *([c["inference"]["synops"]] if data["load"] else []),
            *([1e9 * c["inference"]["energy"]["nominal"]] if data["energy"] else []),
        )
        for c in cores
    ]
    return table(f"{data['file']}: {len(data['cores'])} cores", columns, rows, _caption(data, len(cores)))


def _caption(data: dict[str, Any], shown: int) -> str:
    chips, load, energy = data["mesh"]["chips"], data["load"], data["energy"]
    parts = [f"messages x hops: {data['message_hops']:,.0f}, {100 * data['saved']:.3g} % less than cores in order"]
    parts.append(f"{chips} chip(s)")
    if load and chips > 1:
        parts.append(f"messages x borders between chips: {load['between_chips']:,.0f}, of {load['messages']:,.0f} messages")
    if energy:
        low, nominal, high = (f"{1e9 * energy['total'][end]:,.4g}" for end in ("lo", "nominal", "hi"))
        parts.append(
            f"energy: dynamic, without hops, mean of {energy['n_samples']} samples, an estimate; in all {nominal} nJ, {low} to {high}"
        )
    if shown < len(data["cores"]):
        parts.append(f"{len(data['cores']) - shown} more cores: --all")
    return "; ".join(parts)


def latency_table(timed: "Latency") -> "Table":
    rows = [
        (name, *(f"{1e6 * x:.4g}" for x in (t.lo, t.nominal, t.hi))) for name, t in (*timed.parts.items(), ("[bold]in all", timed.total))
    ]
    title = f"Time per inference of {timed.n_steps} steps, microseconds"
    caption = f"estimate, not a measurement; mean of {timed.n_samples} samples, without waiting for real time"
    if timed.not_counted:
        caption += f"; not counted (no number in the profile): {', '.join(timed.not_counted)}"
    return table(title, ["part", "lowest", "nominal", "highest"], rows, caption)


def refusals(run: MappedRun) -> list[str]:
    return [f"[yellow]not told:[/] {escape(reason)}" for reason in run.refused]
