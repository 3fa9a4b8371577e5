"""`neuromorph train` and `neuromorph export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuromorph.cli import complete
from neuromorph.cli.output import Json, emit, messages, table
from neuromorph.errors import TrainingError

if TYPE_CHECKING:
    from neuromorph.dataset import Dataset
    from neuromorph.train import TrainResult
    from neuromorph.train.distributed import Ranks

KEPT_SAMPLES = 1000  # of the test part


def train(
    config: Annotated[
        str | None, typer.Argument(help="TOML file, or a name: digits, sequential_mnist [digits].", autocompletion=complete.configs)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value over the file; may be repeated.", autocompletion=complete.settings)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run [runs/<task>].")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Short for --set training.epochs=...")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Short for --set training.seed=...")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the configuration as TOML, to start a file of your own, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Train a recurrent spiking network (LSNN) with BPTT and DEEP R; without a file, on sequential handwritten digits.

    The folder gets config.toml, history.jsonl, best.safetensors (the best model, for `neuromorph export`), test.h5 and
    state.safetensors. A run that was stopped or killed goes on with the same bits: neuromorph train --resume FOLDER.

    Ctrl-C ends it after the update at work, with its state saved (exit code 130); a second one at once.

    Several processes share every batch under torchrun: torchrun --nproc-per-node 4 -m neuromorph train CONFIG

    Example: neuromorph train digits -o runs/loihi1 --set network.adaptation=current --set network.reset=to_value
    """
    from neuromorph.train import TrainingInterrupted
    from neuromorph.train.distributed import joined

    short = [f"training.{name}={value}" for name, value in (("epochs", epochs), ("seed", seed)) if value is not None]
    chosen = [*(settings or []), *short]
    if show:
        _show(config, chosen, resume, as_json)
        return
    with joined() as ranks:
        try:
            if resume is None:
                folder, result = _start(config, chosen, out, ranks, not as_json)
            else:
                folder, result = _resume(resume, config, chosen, out, ranks, not as_json)
        except TrainingInterrupted as stop:
            if ranks.first:
                messages.print(str(stop), highlight=False, soft_wrap=True, markup=False)
            raise typer.Exit(128 + stop.number) from None
    if not ranks.first:
        return
    summary = {
        "checkpoint": str(folder / "best.safetensors"),
        "test_accuracy": result.test.accuracy,
        "active_synapses": result.n_active,
        "best_update": result.best.update,
        "rate_hz": result.test.rate_hz,
        "seconds": result.seconds,
    }
    emit(as_json, summary, table("Training", ["", "value"], [(name.replace("_", " "), value) for name, value in summary.items()]))


def _show(config: str | None, chosen: list[str], resume: Path | None, as_json: bool) -> None:
    from neuromorph.train import TrainConfig
    from neuromorph.train.settings import to_toml

    if resume:
        raise TrainingError(f"--show is for new runs; the configuration of this one is in {resume / 'config.toml'}.")
    settings = TrainConfig.read(config, chosen).to_dict()
    if as_json:
        emit(True, settings)
    else:
        typer.echo(to_toml(settings), nl=False)


def _start(config: str | None, chosen: list[str], out: Path | None, ranks: "Ranks", progress: bool) -> tuple[Path, "TrainResult"]:
    from neuromorph.tasks.choose import load_task
    from neuromorph.train import TrainConfig
    from neuromorph.train import train as train_on
    from neuromorph.train.distributed import largest
    from neuromorph.train.state import has_state

    settings = TrainConfig.read(config, chosen)
    folder = out or Path("runs") / settings.task.name
    if largest(ranks, has_state(folder)):  # all have looked before one of them writes
        raise TrainingError(f"{folder} holds a run; go on with it (neuromorph train --resume {folder}), or choose another --out.")
    data = load_task(settings.task, str(config or "--set"))
    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        if data.analog:
            messages.print("No test.h5: the input is analog, and simulators take spikes.")
        else:
            keep_test_part(folder, data)
    return folder, train_on(settings, data, folder=folder, progress=progress, ranks=ranks)


def _resume(
    folder: Path, config: str | None, chosen: list[str], out: Path | None, ranks: "Ranks", progress: bool
) -> tuple[Path, "TrainResult"]:
    from neuromorph.tasks.choose import load_task
    from neuromorph.train import resume
    from neuromorph.train.loop import saved_config

    if config or chosen or out:
        raise TrainingError("--resume goes on with the configuration and folder of its run; give it alone.")
    data = load_task(saved_config(folder).task, str(folder))
    return folder, resume(folder, data, progress=progress, ranks=ranks)


def keep_test_part(folder: Path, data: "Dataset") -> None:
    """The first samples of the test part as `test.h5`, which every simulator reads."""
    from neuromorph.spikes import save_spikes

    part = data.test.head(KEPT_SAMPLES)
    save_spikes(folder / "test.h5", {"input": part.spikes}, part.labels)


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, as written by `neuromorph train`.")],
    out: Annotated[Path, typer.Argument(help="Graph file to write (.h5).")],
    as_json: Json = False,
) -> None:
    """Write a trained network as a sparse float graph that every simulator reads.

    Example: neuromorph export runs/digits/best.safetensors model.h5
    """
    from neuromorph.graph import save
    from neuromorph.train import load_checkpoint

    graph = load_checkpoint(checkpoint).graph()
    save(out, graph)
    data = {"file": str(out), "neurons": graph.n_neurons, "synapses": graph.n_synapses, "digest": graph.digest()}
    emit(as_json, data, f"{out}: {graph.n_neurons} neurons, {graph.n_synapses:,} synapses")
