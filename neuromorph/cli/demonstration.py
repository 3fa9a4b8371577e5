"""`neuromorph demo` and `neuromorph report`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neuromorph.cli.output import Json, console, emit, joules, messages, table


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
    accuracy, seconds = summary["accuracy"], summary["seconds"]
    stages = [
        ("float32 (PyTorch)", 100 * accuracy["torch"]),
        ("float64 (reference)", 100 * accuracy["float"]),
        (f"integers ({summary['profile']})", 100 * accuracy["integer"]),
    ]
    synapses = f"{summary['active_synapses']:,} active synapses, {summary['requested_synapses']:,} requested"
    checks = [(v["backend"], v["precision"], v["samples"], v["verdict"], v["spikes"], told(v["first"])) for v in summary["validation"]]
    energy = [
        (
            e["profile"] + (" (what if)" if e["what_if"] else ""),
            joules(e["total"]["lo"]),
            joules(e["total"]["nominal"]),
            joules(e["total"]["hi"]),
            joules(e["scopes"]["dynamic"]["nominal"]),
        )
        for e in summary["energy"]
    ]
    return [
        table(f"Accuracy on {accuracy['test_samples']} test samples", ["stage", "accuracy %"], stages, synapses),
        table("Validation against the reference", ["backend", "precision", "samples", "verdict", "spikes", "first difference"], checks),
        table(
            "Energy per inference",
            ["profile", "lowest", "nominal", "highest", "of this dynamic"],
            energy,
            "an estimate from counts and published numbers, not a measurement",
        ),
        table("Time", ["stage", "seconds"], list(seconds.items())),
    ]


def told(first: dict[str, Any] | None) -> str:
    """A first difference out of JSON, in words."""
    from neuromorph.differences import Difference

    return str(Difference(**first)) if first else ""
