"""Command that writes a netx file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuromorph.cli import complete
from neuromorph.cli.inputs import Model
from neuromorph.cli.output import Json, emit, messages, table


def netx(
    model: Model,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="netx file to write [MODEL.net].")] = None,
    profile: Annotated[
        str, typer.Option(help="Chip whose ranges hold, where the model is a float graph.", autocompletion=complete.profiles)
    ] = "loihi2",
    readout: Annotated[
        Literal["refuse", "drop", "silent"], typer.Option(help="LI, which netx lacks: refuse it, drop it, or a LIF that never fires.")
    ] = "refuse",
    as_json: Json = False,
) -> None:
    """Write a chain of plain LIF populations as a netx file, the HDF5 that lava-dl turns into Lava processes.

    A float graph is quantised first, at scales that need no weight exponent, which netx lacks. What netx cannot hold
    (adaptation, reset by subtraction, refractory periods, constants by neuron, branches) is refused.

    Example: neuromorph netx lif.h5 --out lif.net --readout silent
    """
    from neuromorph.graph import load
    from neuromorph.hardware import load_profile
    from neuromorph.netx import netx_grid, save_netx
    from neuromorph.quantize import quantize

    graph = load(model)
    report = None
    if graph.precision == "float":
        chip = load_profile(profile)
        graph, report = quantize(graph, chip, netx_grid(graph, chip))
        messages.print(f"quantised for {chip.id}: {report.lost} synapses rounded to zero, {report.clipped} weights clipped", style="dim")
    target = out or model.with_suffix(".net")
    written = [graph.population(name) for name in save_netx(target, graph, readout=readout)]
    layers = [{"layer": i, "population": p.name, "kind": type(p).__name__, "n": p.n} for i, p in enumerate(written)]
    data = {"file": str(target), "layers": layers, "quantization": report.to_dict() if report else None}
    emit(as_json, data, table(str(target), ["layer", "population", "kind", "n"], [tuple(x.values()) for x in layers]))
