"""`neuromorph run`: a graph on spikes, in this process or shared among many."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from neuromorph.cli import complete
from neuromorph.cli.inputs import Inputs, Model, Samples, decision_window, load_model_and_spikes
from neuromorph.cli.output import Json, emit, messages, progress_bar, table
from neuromorph.errors import BackendError, FormatError

if TYPE_CHECKING:
    import numpy as np

    from neuromorph.graph import Graph
    from neuromorph.shards import Pools, Shards
    from neuromorph.shards.job import Result
    from neuromorph.spikes import Spikes


@dataclass(frozen=True, eq=False)
class _Whole:
    """A run in one piece, to be told as `Shards` are."""

    samples: range
    result: "Result"
    failed: Mapping[range, str]
    files: Sequence[Path] = ()

    def __iter__(self) -> "Iterator[tuple[range, Result]]":
        yield self.samples, self.result

    def join(self) -> "Result":
        return self.result


def run(
    model: Model,
    inputs: Inputs,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Simulator: fast, reference, brian2, lava, or a plug-in's [fast; without numba: reference].",
            autocompletion=complete.backends,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Recording to write: .h5, .npz or .nir; with --counts a summary.")] = None,
    samples: Samples = None,
    states: Annotated[list[str] | None, typer.Option(help="Population whose membrane potential is recorded; repeat for more.")] = None,
    spikes: Annotated[list[str] | None, typer.Option(help="Population whose spikes are kept; repeat for more [all].")] = None,
    strict: Annotated[bool, typer.Option(help="Fail when an integer state clips or wraps.")] = False,
    counts: Annotated[bool, typer.Option("--counts", help="Count spikes, synaptic operations and updates; keep no spikes.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes on this machine that share the samples.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://host:port, whose workers share the samples.")] = None,
    shards: Annotated[Path | None, typer.Option(help="Folder of finished shards [OUT.shards, else MODEL.shards].")] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Samples of a shard.")] = 256,
    keep_shards: Annotated[bool | None, typer.Option(help="Keep the shards of a complete run [if --shards is given].")] = None,
    third_factors: Annotated[
        Path | None, typer.Option(help="Third factors of plastic projections (.npz): each signal [steps, samples] or [steps, samples, n].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate a graph on spikes and say what it did: rates, decisions, saturations; with --counts also operations.

    With --workers, --scheduler or --shards, finished samples are kept in files: after Ctrl-C or a crash the same command goes on. Exit
    code 1 if some samples could not be computed; they are listed.

    Example: neuromorph run runs/demo/model.h5 runs/demo/test.h5 --counts --workers 4
    """
    if counts and (backend not in (None, "fast") or states or spikes):
        raise BackendError("--counts keeps neither spikes nor states and needs the backend fast; leave out what contradicts it.")
    graph, trains, labels = load_model_and_spikes(model, inputs, samples)
    backend = backend or _default()
    n_steps = next((s.n_steps for s in trains.values()), 0)
    window = min(decision_window(graph) or n_steps, n_steps)
    asked: dict[str, Any] = {"window": window} if counts else {"states": states or (), "spikes": spikes or None}
    pools, folder = _pools(workers, scheduler), shards or Path(f"{out or model}.shards")
    with progress_bar(backend, as_json) as progress:
        asked |= {"strict": strict, "progress": progress}
        if third_factors:
            asked["third_factors"] = load_third_factors(third_factors, samples)
        if pools or shards:
            found = _in_shards(graph, trains, backend, folder, {**asked, "counts": counts, "executor": pools, "size": shard_size})
        else:
            found = _in_one(graph, trains, backend, counts, asked)
    written = out if out and not found.failed else None
    if written:
        _save(written, found.join())
    data = {"backend": backend, **_data(graph, found, n_steps, labels, window), "file": str(written) if written else None}
    if not (found.failed or (shards if keep_shards is None else keep_shards)):
        _remove(found.files, folder)
    emit(as_json, data, *_tables(data))
    if found.failed:
        raise typer.Exit(1)


def _default() -> str:
    from neuromorph.backends.summarise import default_backend
    from neuromorph.extras import EXTRAS

    if (name := default_backend()) != "fast":
        told = f"On {name}, which computes the same bits but slowly; for the compiled simulator: {EXTRAS['fast'].command}"
        messages.print(escape(told), soft_wrap=True, highlight=False)
    return name


def load_third_factors(path: Path, samples: int | None) -> "dict[str, np.ndarray]":
    """Signals by name from a .npz file, of the first `samples` (None: all)."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name][:, :samples] for name in file.files}
    except (ValueError, OSError, IndexError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise FormatError(
            f"{path}: no third factors ({error}); write them with numpy.savez(path, reward=array of [steps, samples])."
        ) from error


def _in_one(graph: "Graph", trains: "dict[str, Spikes]", backend: str, counts: bool, asked: Mapping[str, Any]) -> _Whole:
    from neuromorph import backends
    from neuromorph.backends.base import keep
    from neuromorph.backends.summarise import summarise

    if counts and backend == "fast":
        keep(backends.backend(backend), graph)
    result = summarise(graph, trains, **asked) if counts else backends.backend(backend).run(graph, trains, **asked)
    return _Whole(range(result.n_samples), result, {})


def _in_shards(graph: "Graph", trains: "dict[str, Spikes]", backend: str, folder: Path, asked: Mapping[str, Any]) -> "Shards":
    from neuromorph.shards import run_shards

    try:
        return run_shards(graph, trains, backend, folder=folder, **asked)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"finished samples are in {folder}; the same command goes on with the others.") from None


def _pools(workers: int | None, scheduler: str | None) -> "Pools | None":
    from neuromorph.shards import dask, processes

    if workers and scheduler:
        raise BackendError("--workers are processes of this machine, --scheduler has those of a cluster; give one of them.")
    return processes(workers) if workers else dask(scheduler) if scheduler else None


def _save(path: Path, result: "Result") -> None:
    from neuromorph.backends.fast.summary import Summary, save_summary
    from neuromorph.interchange.files import save_as

    if isinstance(result, Summary):
        save_summary(path, result)
    else:
        save_as(path, result)


def _remove(files: Sequence[Path], folder: Path) -> None:
    """The files, and their folder if nothing else is in it."""
    for file in files:
        file.unlink(missing_ok=True)
    if files:
        with suppress(OSError):
            folder.rmdir()


def _data(graph: "Graph", found: "Shards | _Whole", n_steps: int, labels: Any, window: int) -> dict[str, Any]:
    """What is told of a run, summed up part by part."""
    from neuromorph.backends.fast.summary import Summary
    from neuromorph.counts import of_summary
    from neuromorph.recording import added_up

    samples = correct = 0
    spikes, saturations = Counter[str](), dict[str, int]()
    operations = defaultdict[str, Counter[str]](Counter)
    for part, result in found:
        samples += len(part)
        saturations = added_up([saturations, result.saturations])
        spikes.update(_emitted(graph, result))
        if isinstance(result, Summary):
            for kind, totals in of_summary(graph, result).totals().items():
                operations[kind].update(totals)
        if labels is not None and result.readouts:
            correct += int((_decided(result, window) == labels[part.start : part.stop]).sum())
    cells = {name: samples * n_steps * graph.population(name).n for name in spikes}
    return {
        "precision": graph.precision,
        "samples": samples,
        "steps": n_steps,
        "spikes": dict(spikes),
        "rate_hz": {name: total / cells[name] / graph.dt for name, total in spikes.items()},
        "accuracy": correct / samples if samples and labels is not None and graph.readouts else None,
        "saturations": saturations,
        "per_inference": {kind: {name: n / samples for name, n in totals.items()} for kind, totals in operations.items()},
        "failed": {f"{part.start}..{part.stop - 1}": why for part, why in found.failed.items()},
    }


def _emitted(graph: "Graph", result: "Result") -> dict[str, int]:
    """Spikes of each population that was recorded or counted, inputs left out."""
    from neuromorph.backends.fast.summary import Summary
    from neuromorph.graph.populations import LIF

    if isinstance(result, Summary):
        return {p.name: int(result.fired[p.name].sum()) for p in graph.neurons if isinstance(p, LIF)}
    return {name: len(s) for name, s in result.spikes.items()}


def _decided(result: "Result", window: int) -> Any:
    from neuromorph.backends.fast.summary import Summary
    from neuromorph.compare import decisions

    return result.decisions() if isinstance(result, Summary) else decisions(result, window)


def _tables(data: Mapping[str, Any]) -> Iterator[Any]:
    rows = [(name, total, data["rate_hz"][name]) for name, total in data["spikes"].items()]
    title = f"{data['backend']}, {data['precision']}: {data['samples']} samples of {data['steps']} steps"
    saturated = ", ".join(f"{k} {v:,} times" for k, v in data["saturations"].items()) or "none"
    caption = f"saturations: {saturated}" + ("" if data["accuracy"] is None else f"; accuracy {100 * data['accuracy']:.2f} %")
    yield table(title, ["population", "spikes", "rate (Hz)"], rows, caption)
    if data["per_inference"]:
        counted = [(kind.replace("_", " "), name, n) for kind, by_name in data["per_inference"].items() for name, n in by_name.items()]
        yield table("Counts per inference", ["count", "of", "mean"], counted)
    if data["failed"]:
        yield table("Samples without a result", ["samples", "error"], list(data["failed"].items()), "run again to try only these")
