"""A data set in shards: which there are, which have no file yet, and what came of those."""

from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from os import PathLike
from pathlib import Path

from neuromorph import backends
from neuromorph.backends.base import Inputs, Progress, prepare
from neuromorph.errors import BackendError, FormatError
from neuromorph.files import atomic_write
from neuromorph.graph.graph import Graph
from neuromorph.shards.job import Job, key
from neuromorph.shards.pools import Pools, serial
from neuromorph.shards.result import Shard, Shards
from neuromorph.shards.work import complete, cut
from neuromorph.spikes import Spikes


def run_shards(
    graph: Graph,
    inputs: Inputs,
    backend: str = "fast",
    *,
    folder: str | PathLike[str],
    executor: Pools | None = None,
    size: int = 256,
    states: Iterable[str] = (),
    spikes: Iterable[str] | None = None,
    strict: bool = False,
    counts: bool = False,
    window: int | None = None,
    retries: int = 2,
    progress: Progress | None = None,
) -> Shards:
    """Simulate all samples, `size` at a time; each shard's result is a file in `folder`, named by what it depends on.

    A shard whose file is there and whole is not computed again: a run that was interrupted, killed or lost its workers goes on when it is
    called again, and runs may share a folder. `executor`: `processes(n)`, `dask(...)` or another way to open a `Pool` (default: this
    process). `states`, `spikes`, `strict`: as in `Backend.run`. `counts`: keep no spikes, give each shard's `Summary` (backend fast only)
    with readouts averaged over the last `window` steps (default: all). A shard that fails, or whose worker dies, is tried `retries` times
    more and then listed in `Shards.failed`; one that saturates in a strict run is listed at once.

    Raises:
        GraphError: inputs do not fit the graph, a population to record is none of it, the window does not fit the steps.
        BackendError: the backend cannot run this graph here, counts are asked of another one than fast, the executor cannot be opened.
    """
    traced = tuple(states)
    if size < 1 or retries < 0:
        raise BackendError(f"Shards: size {size}, retries {retries}; a shard has at least one sample, and retries are 0 or more.")
    if counts and (backend != "fast" or spikes is not None or traced):
        raise BackendError("Shards: counts keep neither spikes nor states and come from backend 'fast'; leave the others out.")
    if graph.plastic:
        raise BackendError("Shards: the graph is plastic, and its rounding may depend on the number of a sample; run it whole.")
    by_name, kept, _ = prepare(backends.backend(backend), graph, inputs, traced, spikes)
    n_steps = next(iter(by_name.values())).n_steps
    averaged = (n_steps if window is None else window) if counts else None
    job = Job(graph, backend, kept.spikes, kept.states, strict, averaged, version("neuromorph"))
    shards = _plan(job, by_name, size, Path(folder))
    errors = _complete(job, by_name, shards, executor or serial, retries, progress)
    failed = {shard.samples: errors[shard.path] for shard in shards if shard.path in errors}
    return Shards(job, tuple(shard for shard in shards if shard.samples not in failed), failed)


def _plan(job: Job, inputs: dict[str, Spikes], size: int, folder: Path) -> list[Shard]:
    folder.mkdir(parents=True, exist_ok=True)
    about, n_samples = job.about(), next(iter(inputs.values())).n_samples
    parts = [range(first, min(first + size, n_samples)) for first in range(0, n_samples, size)]
    return [Shard(part, folder / f"{key(about, cut(inputs, part))}.h5") for part in parts]


def _complete(
    job: Job, inputs: dict[str, Spikes], shards: list[Shard], pools: Pools, retries: int, progress: Progress | None
) -> dict[Path, str]:
    """Write the files that are not there; gives the errors of those that cannot be."""
    samples = Counter[Path]()
    for shard in shards:
        samples[shard.path] += len(shard.samples)
    lacking = {shard.path: shard for shard in shards if not _whole(job, shard.path)}
    finished = samples.total() - sum(samples[path] for path in lacking)

    def done(shard: Shard, data: bytes) -> None:
        nonlocal finished
        atomic_write(shard.path, data)
        finished += samples[shard.path]
        if progress:
            progress(finished, samples.total())

    if progress:
        progress(finished, samples.total())
    return complete(job, inputs, list(lacking.values()), pools, retries, done)


def _whole(job: Job, path: Path) -> bool:
    """Whether there is a file that can be read to its end."""
    try:
        job.load(path)
    except (FileNotFoundError, FormatError):
        return False
    return True
