"""Commands to and from NIR, the format in which tools of the field exchange networks."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuromorph.cli.inputs import Model
from neuromorph.cli.output import Json, emit, messages, table


def import_(
    file: Annotated[Path, typer.Argument(help="NIR file (.nir).")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Graph file to write [FILE.h5].")] = None,
    dt: Annotated[float | None, typer.Option(help="Length of a step in seconds, which NIR files do not carry: 1e-3 is 1 ms.")] = None,
    discretisation: Annotated[
        Literal["euler", "exact"], typer.Option(help="Euler's rule, as most tools that read NIR step, or exact decay.")
    ] = "euler",
    spikes: Annotated[
        Literal["usual", "current", "charge"],
        typer.Option(help="A spike is a current for one step, a charge, or (usual) the one to leaky neurons, the other to integrators."),
    ] = "usual",
    as_json: Json = False,
) -> None:
    """Read a network in NIR as a graph file; what the file leaves open is chosen, told and kept in the graph's metadata.

    Example: neuromorph import model.nir --dt 1e-3 --out model.h5
    """
    from neuromorph.graph import save
    from neuromorph.nir import Stepping, load_nir

    found = load_nir(file, None if dt is None else Stepping(dt, discretisation, spikes))
    target = out or file.with_suffix(".h5")
    save(target, found.graph)
    rows = [(type(p).__name__, p.name, p.n, found.graph.metadata.get(f"latency.{p.name}", "0")) for p in found.graph.populations]
    populations = [dict(zip(("kind", "name", "n", "latency"), row)) for row in rows]
    data = {"file": str(target), "dt": found.graph.dt, "synapses": found.graph.n_synapses, "populations": populations}
    title = f"{target}: {found.graph.n_neurons} neurons, {found.graph.n_synapses:,} synapses, dt {found.graph.dt * 1e3:g} ms"
    emit(as_json, data | {"assumptions": found.assumptions}, table(title, ["kind", "population", "n", "latency (steps)"], rows))
    for sentence in found.assumptions:
        messages.print(sentence, style="dim", highlight=False)


def nir(
    model: Model,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="NIR file to write [MODEL.nir].")] = None,
    lossy: Annotated[
        bool, typer.Option(help="Leave out what NIR lacks (adaptation, soft reset, refractoriness, plasticity), and say so.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a float graph as NIR for other tools. The whole graph lies beside it in the same file, so that nothing is lost to neuromorph.

    Example: neuromorph nir model.h5 --out model.nir
    """
    from neuromorph.graph import load
    from neuromorph.nir import Node, write_nir

    target = out or model.with_suffix(".nir")
    made = write_nir(target, load(model), lossy=lossy)
    rows = [(name, node.kind) for name, node in made.graph.nodes.items() if isinstance(node, Node)]
    data = {"file": str(target), "nodes": dict(rows), "lost": made.lost, "notes": made.notes}
    emit(as_json, data, table(str(target), ["node", "kind"], rows))
    for sentence in made.lost:
        messages.print(f"left out: {sentence}", style="yellow", highlight=False)
    for sentence in made.notes:
        messages.print(sentence, style="dim", highlight=False)
