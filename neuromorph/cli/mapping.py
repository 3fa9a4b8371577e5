"""Commands about chips: does a graph fit, and where does it go."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from neuromorph.cli import complete
from neuromorph.cli.inputs import CHIP, Epoch, Model, Plastic, Rules, Samples, chosen_learning, load_spikes_and_labels
from neuromorph.cli.output import Json, emit, messages, progress_bar, table

if TYPE_CHECKING:
    from neuromorph.graph import Graph
    from neuromorph.hardware import HardwareProfile
    from neuromorph.spikes import Spikes

Chip = Annotated[str, typer.Option("--profile", help=CHIP, autocompletion=complete.profiles)]
MARKS = {"kept": "", "split": "[yellow]split", "broken": "[bold red]broken"}


def check(
    model: Model,
    profile: Chip = "loihi2",
    chips: Annotated[int, typer.Option(min=1, help="How many chips there are.")] = 1,
    plastic: Plastic = None,
    epoch: Epoch = 1,
    rules: Rules = 2,
    everything: Annotated[bool, typer.Option("--all", help="Show every population and projection, not the fullest alone.")] = False,
    as_json: Json = False,
) -> None:
    """Does a graph fit a chip? Every rule with what is used, what is allowed and what to do; exit code 1 if one is broken.

    Example: neuromorph check runs/demo/model.h5 --profile loihi1
    """
    from neuromorph.graph import load
    from neuromorph.hardware import load_profile
    from neuromorph.mapping import check as check_rules

    chip = load_profile(profile)
    report = check_rules(integers_for(load(model), chip), chip, chips=chips, learning=chosen_learning(plastic, epoch, rules))
    shown = report.rules if everything else report.worst()
    rows = [(r.rule, r.subject, r.used, r.allowed, r.percent, MARKS[r.status]) for r in shown]
    told = [f"{MARKS[r.status]}:[/] {escape(str(r))}" for r in report.rules if r.status != "kept"]
    cores = f", {report.partition.n_cores} core(s)" if report.partition else ""
    verdict = f"{model} {'fits' if report.fits else 'does not fit'} {chip.id}{cores}"
    emit(as_json, report.to_dict(), table(verdict, ["rule", "of", "used", "allowed", "%", ""], rows), *told)
    if not report.fits:
        raise typer.Exit(1)


def map_(
    model: Model,
    inputs: Annotated[Path | None, typer.Argument(help="Spike file (.h5): count messages on its samples [one spike a neuron].")] = None,
    profile: Chip = "loihi2",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Map to write [MODEL.<profile>.map.json].")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the cores to write (.png, .svg, .pdf).")] = None,
    seed: Annotated[int, typer.Option(help="Of the optimiser; the same seed gives the same map.")] = 0,
    samples: Samples = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all cores, not the fullest alone.")] = False,
    as_json: Json = False,
) -> None:
    """Divide a graph among the cores of a chip, and place these so that messages pass few routers. With spikes, tell what every core
    does and costs, what passes between chips, and the time it takes.

    Example: neuromorph map runs/demo/model.loihi2_estimate.h5 runs/demo/test.h5 --plot cores.png
    """
    from neuromorph.cli.mapped import core_table, described, latency_table, refusals, run_on
    from neuromorph.graph import load
    from neuromorph.hardware import load_profile
    from neuromorph.mapping import map_to_chip, save_map
    from neuromorph.quantize import unsupported

    chip = load_profile(profile)
    graph = integers_for(load(model), chip)
    lacking = unsupported(graph, chip)
    for complaint in lacking:
        messages.print(f"[yellow]the chip cannot run it:[/] {escape(complaint)}", highlight=False)
    given = load_spikes_and_labels(inputs, samples)[0] if inputs else {}
    mean = spikes_of_neurons(graph, given, as_json) if given else None
    found, traffic = map_to_chip(graph, chip, mean, seed=seed)
    run = run_on(graph, found, chip, given, mean, as_json) if mean else None
    target = out or model.with_suffix(f".{chip.id}.map.json")
    save_map(target, found, run.load if run else None)
    if plot:
        from neuromorph.report.cores import plot_cores

        plot_cores(found, traffic, chip, plot)
    data = {"file": str(target), "unsupported": list(lacking), **described(found, chip, run)}
    timed = [latency_table(run.latency)] if run and run.latency else []
    emit(as_json, data, core_table(data, everything), *timed, *(refusals(run) if run else []))


def integers_for(graph: "Graph", chip: "HardwareProfile") -> "Graph":
    """The graph in the integers of the chip; as it is where it cannot be told to the chip (the check says why)."""
    from neuromorph.quantize import quantize, unsupported

    if graph.precision == "integer" or unsupported(graph, chip):
        return graph
    integer, report = quantize(graph, chip)
    messages.print(f"quantised for {chip.id}: {report.lost} synapses rounded to zero, {report.clipped} weights clipped", style="dim")
    return integer


def spikes_of_neurons(graph: "Graph", inputs: "dict[str, Spikes]", quiet: bool) -> dict[str, Any]:
    """Spikes of every neuron in the mean inference, by population that emits any."""
    from neuromorph.backends.summarise import default_backend, summarise

    with progress_bar(default_backend(), quiet) as progress:
        return summarise(graph, inputs, progress=progress).mean_spikes()
