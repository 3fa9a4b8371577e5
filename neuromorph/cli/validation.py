"""`neuromorph validate`: any set of simulators and precisions on a model and its data."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from neuromorph.cli import complete
from neuromorph.cli.inputs import decision_window, load_spikes_and_labels
from neuromorph.cli.output import Json, emit, messages, progress_bar, table
from neuromorph.errors import BackendError

if TYPE_CHECKING:
    from neuromorph.agreement import Validation
    from neuromorph.compare import Comparison
    from neuromorph.graph import Graph
    from neuromorph.train.checkpoint import Checkpoint

TORCH = "torch"
PRECISIONS = ("float", "integer")


def validate(
    model: Annotated[Path, typer.Argument(help="Graph file (.h5), or the checkpoint (.safetensors) it came from, which PyTorch runs too.")],
    inputs: Annotated[Path, typer.Argument(help="Spike file (.h5) with one array for each Input population.")],
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="Simulator; repeat for more. One alone is held against the reference [all that are installed].",
            autocompletion=complete.simulators,
        ),
    ] = None,
    precision: Annotated[list[str] | None, typer.Option(help="float or integer; repeat for both [both of a float model].")] = None,
    profile: Annotated[str, typer.Option(help="Chip whose integers a float model gets.", autocompletion=complete.profiles)] = "loihi2",
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first N samples.")] = 20,
    report: Annotated[Path | None, typer.Option(help="HTML page to write, with rasters around first differences [not written].")] = None,
    third_factors: Annotated[
        Path | None, typer.Option(help="Third factors of plastic projections (.npz), in the model's units: see `neuromorph run`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove that simulators compute a model alike; exit code 1 if two of one precision do not.

    Every simulator is held against every other: floats spike for spike, integers bit for bit (spikes, membrane potentials, adaptation,
    readouts). The first difference is told with sample, step, neuron and margin to the threshold. Floats and integers are compared too:
    how many spikes, and which decisions, survive quantising.

    Example: neuromorph validate runs/demo/best.safetensors runs/demo/test.h5 --samples 20 --report validation.html
    """
    from neuromorph.agreement import validate as validate_graphs

    checkpoint, graph = _model(model)
    spikes, _ = load_spikes_and_labels(inputs, samples)
    graphs = _graphs(graph, precision or PRECISIONS, profile, chosen=precision is not None)
    names = backend or [*_installed(), *([TORCH] if checkpoint else [])]
    if TORCH in names and (checkpoint is None or graphs[0] is not graph):
        raise BackendError("Validate: PyTorch runs a checkpoint (.safetensors) in floats; give one, without --precision integer alone.")
    others = {TORCH: _torch(checkpoint, graph)} if TORCH in names and checkpoint else {}
    simulators = [name for name in (["reference", *names] if len(names) == 1 else names) if name != TORCH]
    with progress_bar("validate", as_json) as progress:
        asked = {"others": others, "window": decision_window(graph), "progress": progress}
        found = validate_graphs(graphs, spikes, simulators, third_factors=_signals(third_factors, samples), **asked)
    if report:
        from neuromorph.report import write_validation

        write_validation(report, found, model=str(model))
    data = {"file": str(model), "report": str(report) if report else None, **found.to_dict()}
    emit(as_json, data, *_told(found, found.comparisons[0].samples))
    if report:
        messages.print(f"report: {report}", soft_wrap=True, highlight=False)
    if not found.agrees:
        raise typer.Exit(1)


def _signals(path: Path | None, samples: int | None) -> Any:
    from neuromorph.cli.simulate import load_third_factors

    return load_third_factors(path, samples) if path else None


def _told(found: "Validation", samples: int) -> Iterator[Any]:
    """A table for each precision, first differences, and a sentence on floats against integers."""
    for precision in dict.fromkeys(c.precision for c in found.comparisons if c.must_agree):
        pairs = [c for c in found.comparisons if c.must_agree and c.precision == precision]
        rows = [(c.backend, c.against, c.verdict, c.spikes, 100 * c.spike_agreement, c.decisions_equal) for c in pairs]
        title = f"{precision}, {samples} samples: do the simulators agree?"
        yield table(title, ["simulator", "against", "verdict", "spikes", "shared %", "same decisions"], rows)
    for c in found.comparisons:
        if c.must_agree and c.first:
            yield f"{c.backend} and {c.against} ({c.precision}) first differ: {c.first}"
        elif not c.must_agree:
            yield _across(c)


def _across(c: "Comparison") -> str:
    decided = "" if c.decisions_equal is None else f", {c.decisions_equal} of {c.samples} decisions the same"
    correlated = "" if c.readout_correlation is None else f", readouts correlate with {c.readout_correlation:.4f}"
    names = f"{c.precision} against {c.against_precision} ({c.backend}, {c.against})"
    return f"{names}: {100 * c.spike_agreement:.1f} % of the spikes shared{correlated}{decided}"


def _model(path: Path) -> "tuple[Checkpoint | None, Graph]":
    if path.suffix == ".safetensors":
        from neuromorph.train.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(path)
        return checkpoint, checkpoint.graph()
    from neuromorph.graph import load

    return None, load(path)


def _graphs(graph: "Graph", precisions: Sequence[str], profile: str, *, chosen: bool) -> "list[Graph]":
    """The model in every precision asked for."""
    from neuromorph.hardware import load_profile
    from neuromorph.quantize import quantize

    if strange := sorted(set(precisions) - set(PRECISIONS)):
        raise BackendError(f"Validate: precision {', '.join(strange)}; allowed: {', '.join(PRECISIONS)}.")
    if graph.precision == "integer":
        if chosen and "float" in precisions:
            raise BackendError("Validate: an integer model has no floats; give the float model to compare both.")
        return [graph]
    integers = [quantize(graph, load_profile(profile))[0]] if "integer" in precisions else []
    return [graph, *integers] if "float" in precisions else integers


def _installed() -> list[str]:
    """Backends that can run here, the reference first; the others are named on standard error."""
    from neuromorph.backends import backends

    reasons = {name: simulator.available() for name, simulator in backends().items()}
    for name, reason in reasons.items():
        if reason:
            messages.print(f"left out: {name}: {escape(reason)}", soft_wrap=True, highlight=False)
    return sorted((name for name, reason in reasons.items() if not reason), key=lambda name: name != "reference")


def _torch(checkpoint: "Checkpoint", graph: "Graph") -> Any:
    """The network by PyTorch's loop over steps, in float64."""
    import copy

    from neuromorph.train.record import record

    network = copy.deepcopy(checkpoint.model).double()
    network.compiled = False
    return lambda inputs: record(network, graph, inputs[graph.inputs[0].name])
