"""`neuromorph demo` and `neuromorph report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from neuromorph.cli.output import Json, console, emit, joules, messages, seconds, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything the demo makes.")] = Path("runs/demo"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Training epochs [the demo's own number].")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, synapses and batches.")] = 0,
    profile: Annotated[str, typer.Option(help="Chip whose integers are used.")] = "loihi2",
    brian2_samples: Annotated[int, typer.Option(min=1, help="Test samples validated in Brian2.")] = 50,
    lava_samples: Annotated[int, typer.Option(min=1, help="Test samples validated in Lava.")] = 20,
    as_json: Json = False,
) -> None:
    """Walk the whole chain on real handwritten digits, in a few minutes on two cores.

    Trains a recurrent spiking network with BPTT and DEEP R, exports the sparse graph, quantises it, runs the test set,
    validates it spike for spike in Brian2 and bit for bit in Lava, counts, estimates energy, writes report.html.
    """
    from neuromorph.demo import DemoArgs
    from neuromorph.demo import demo as walk
    from neuromorph.report import write_report
    from neuromorph.train.config import TrainConfig

    config = TrainConfig.of(training={"seed": seed} if epochs is None else {"seed": seed, "epochs": epochs})
    samples = {"torch": brian2_samples, "fast": brian2_samples, "brian2": brian2_samples, "lava": lava_samples}
    args = DemoArgs(out=out, config=config, profile=profile, samples=samples)
    summary = walk(args, say=lambda text: messages.print(text, highlight=False), progress=not as_json)
    page = write_report(out)
    emit(as_json, summary, *summary_tables(summary))
    messages.print(f"report: {page}", soft_wrap=True, highlight=False)
    if not all(row["agrees"] for row in summary["validation"]):
        raise typer.Exit(1)


def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, as `neuromorph demo` leaves it.")] = Path("runs/demo"), as_json: Json = False
) -> None:
    """Write the HTML report of a run folder anew and print its summary.

    Example: neuromorph report runs/demo
    """
    import json

    from neuromorph.report import write_report

    page = write_report(folder)
    summary = json.loads((folder / "summary.json").read_text())
    emit(as_json, summary | {"report": str(page)}, *summary_tables(summary))
    if not as_json:
        console.print(f"report: {page}", soft_wrap=True, highlight=False)


def summary_tables(summary: dict[str, Any]) -> list[Any]:
    """The summary of a run for people."""
    accuracy = summary["accuracy"]
    stages = [
        ("float32 (PyTorch)", 100 * accuracy["torch"]),
        ("float64 (reference)", 100 * accuracy["float"]),
        (f"integers ({summary['profile']})", 100 * accuracy["integer"]),
    ]
    synapses = f"{summary['active_synapses']:,} active synapses, {summary['requested_synapses']:,} requested"
    checks = [(v["backend"], v["precision"], v["samples"], v["verdict"], v["spikes"], told(v["first"])) for v in summary["validation"]]
    return [
        table(f"Accuracy on {accuracy['test_samples']} test samples", ["stage", "accuracy %"], stages, synapses),
        table("Validation against the reference", ["backend", "precision", "samples", "verdict", "spikes", "first difference"], checks),
        *_chip(summary),
        _energy(summary["energy"]),
        table("Time", ["stage", "seconds"], list(summary["seconds"].items())),
    ]


def _chip(summary: dict[str, Any]) -> "Iterator[str]":
    """Whether the graph fits the chip, and what it asks of it, in a line each."""
    check, placed, refused = (summary.get(name) for name in ("check", "map", "map_refused"))
    if check:
        yield f"[bold]Chip[/]: the network {'fits' if check['fits'] else '[red]does not fit[/]'} {check['profile']}"
        yield from (
            f"  {escape(r['subject'])}: {escape(r['fault'])} {escape(r['remedy'])}" for r in check["rules"] if r["status"] == "broken"
        )
    if placed:
        load = placed["load"]
        hops = load["hops_ew"] + load["hops_ns"]
        yield f"  mapped: {load['cores']:,} core(s), {load['messages']:,.0f} messages and {hops:,.0f} hops an inference"
    if refused:
        yield f"  not mapped: {escape(refused)}"


def _energy(estimates: list[dict[str, Any]]) -> "Table":
    """Totals of all chips, and the time that those need of which it is known."""
    rows = []
    unknown: dict[str, list[str]] = {}
    for e in estimates:
        total, dynamic, timed = e["total"], e["scopes"]["dynamic"], e.get("latency")
        ends = (joules(x) for x in (total["lo"], total["nominal"], total["hi"], dynamic["nominal"]))
        rows.append((e["profile"] + (" *" if e["what_if"] else ""), *ends, seconds(timed["total"]["nominal"]) if timed else "unknown"))
        for scope in (name for name, sums in e["scopes"].items() if not sums):
            unknown.setdefault(scope.replace("_", " ").replace("cpu", "CPU"), []).append(e["profile"])
    notes = ["an estimate from counts and published numbers, not a measurement", "time: what the chip needs, nominal"]
    notes += [f"{scope}: unknown, and not in the total, of {', '.join(chips)}" for scope, chips in unknown.items()]
    notes += ["* what if: the chip is not known to run this network"] if any(e["what_if"] for e in estimates) else []
    return table("Energy per inference", ["profile", "lowest", "nominal", "highest", "dynamic", "time"], rows, escape("\n".join(notes)))


def told(first: dict[str, Any] | None) -> str:
    """A first difference out of JSON, in words."""
    from neuromorph.differences import Difference

    return str(Difference(**first)) if first else ""
