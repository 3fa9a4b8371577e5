"""`neuromorph train` and `neuromorph export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuromorph.cli.output import Json, emit, messages, table


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoint.safetensors and test.h5.")] = Path("runs/digits"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Training epochs [the demo's].")] = None,
    connectivity: Annotated[float | None, typer.Option(help="Share of possible synapses that are active, 0 to 1 [0.2].")] = None,
    adaptation: Annotated[
        Literal["threshold", "current"], typer.Option(help="threshold (LSNN), or current (what Loihi 1 has).")
    ] = "threshold",
    reset: Annotated[Literal["subtract", "to_value"], typer.Option(help="subtract (LSNN), or to_value (what Loihi 1 has).")] = "subtract",
    lr: Annotated[float | None, typer.Option(help="Learning rate of Adam [0.01].")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, synapses and batches.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a recurrent spiking network (LSNN) on sequential handwritten digits with BPTT and DEEP R.

    The checkpoint of the best validation epoch is written after every epoch, so that a killed run leaves a readable one.

    Example: neuromorph train -o runs/loihi1 --adaptation current --reset to_value
    """
    from neuromorph.spikes import save_spikes
    from neuromorph.tasks import digits
    from neuromorph.train import TrainArgs
    from neuromorph.train import train as train_on

    chosen = {"epochs": epochs, "connectivity": connectivity, "lr": lr}
    args = TrainArgs(adaptation=adaptation, reset=reset, seed=seed, **{name: x for name, x in chosen.items() if x is not None})
    out.mkdir(parents=True, exist_ok=True)
    data = digits.load()
    save_spikes(out / "test.h5", {"input": data.test.spikes}, data.test.labels)
    result = train_on(args, data, path=out / "checkpoint.safetensors", progress=not as_json and messages.is_terminal)
    summary = {
        "checkpoint": str(out / "checkpoint.safetensors"),
        "test_accuracy": result.test.accuracy,
        "active_synapses": result.n_active,
        "best_epoch": result.best_epoch,
        "rate_hz": result.test.rate_hz,
        "seconds": result.seconds,
    }
    emit(as_json, summary, table("Training", ["", "value"], [(name.replace("_", " "), value) for name, value in summary.items()]))


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, as written by `neuromorph train`.")],
    out: Annotated[Path, typer.Argument(help="Graph file to write (.h5).")],
    as_json: Json = False,
) -> None:
    """Write a trained network as a sparse float graph that every simulator reads.

    Example: neuromorph export runs/digits/checkpoint.safetensors model.h5
    """
    from neuromorph.graph import save
    from neuromorph.train import load_checkpoint

    graph = load_checkpoint(checkpoint).graph()
    save(out, graph)
    data = {"file": str(out), "neurons": graph.n_neurons, "synapses": graph.n_synapses, "digest": graph.digest()}
    emit(as_json, data, f"{out}: {graph.n_neurons} neurons, {graph.n_synapses:,} synapses")
