"""Keep a pool busy until every shard is computed or given up; open another one when it breaks."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from pathlib import Path

import numpy as np

from neuromorph.errors import GraphError, SaturationError
from neuromorph.shards.job import Job, compute
from neuromorph.shards.pools import Pool, Pools
from neuromorph.shards.result import Shard
from neuromorph.spikes import Spikes


def complete(
    job: Job, inputs: dict[str, Spikes], shards: Sequence[Shard], pools: Pools, retries: int, done: Callable[[Shard, bytes], None]
) -> dict[Path, str]:
    """Call `done` with the content of each shard's file, in any order; gives the errors of those without.

    Raises:
        GraphError: of a shard: it would come of every other one.
    """
    work = _Work(shards, retries)
    while work.left:
        with pools() as pool:
            _drain(pool, work, job, inputs, done)
    return work.errors


def cut(inputs: dict[str, Spikes], samples: range) -> dict[str, Spikes]:
    """The inputs of these samples."""
    return {name: spikes.select(np.arange(samples.start, samples.stop)) for name, spikes in inputs.items()}


class _Work:
    """Shards still to be computed, and what became of tries.

    When a pool breaks, any of the shards in flight may be the cause: each of them is tried again alone, so that the one that ends its
    workers is known and costs the others nothing.
    """

    def __init__(self, shards: Sequence[Shard], retries: int) -> None:
        self.waiting, self.suspects = deque(shards), deque[Shard]()
        self.retries = retries
        self.tries = Counter[Path]()
        self.errors: dict[Path, str] = {}

    @property
    def left(self) -> bool:
        return bool(self.waiting or self.suspects)

    def take(self, in_flight: int, limit: Callable[[], int]) -> Shard | None:
        """The next shard to start beside those in flight, if one should be."""
        if self.suspects:
            return None if in_flight else self.suspects.popleft()
        return self.waiting.popleft() if self.waiting and in_flight < limit() else None

    def failed(self, shard: Shard, error: Exception, queue: deque[Shard]) -> None:
        """One try more; back into the queue unless it was the last."""
        self.tries[shard.path] += 1
        if self.tries[shard.path] > self.retries or isinstance(error, SaturationError):
            self.errors[shard.path] = f"{type(error).__name__}: {error}"
        else:
            queue.append(shard)

    def lost(self, shards: Sequence[Shard], error: Exception) -> None:
        """The pool broke with these in flight."""
        if len(shards) == 1:
            self.failed(shards[0], error, self.suspects)
        else:
            self.suspects.extend(shards)


def _drain(pool: Pool, work: _Work, job: Job, inputs: dict[str, Spikes], done: Callable[[Shard, bytes], None]) -> None:
    """Compute what is left, until nothing is or the pool breaks."""
    flying: dict[Future[bytes], Shard] = {}
    while work.left or flying:
        while shard := work.take(len(flying), pool.in_flight):
            flying[_submitted(pool, job, cut(inputs, shard.samples))] = shard
        for future in wait(flying, return_when=FIRST_COMPLETED).done:
            try:
                data = future.result()
            except GraphError:
                raise
            except (BrokenExecutor, CancelledError) as error:
                work.lost(list(flying.values()), error)
                return
            except Exception as error:
                work.failed(flying.pop(future), error, work.waiting)
            else:
                done(flying.pop(future), data)


def _submitted(pool: Pool, job: Job, inputs: dict[str, Spikes]) -> Future[bytes]:
    """The future of a shard; a pool that takes no more is broken."""
    try:
        return pool.executor.submit(compute, job, inputs)
    except Exception as error:
        future: Future[bytes] = Future()
        future.set_exception(BrokenExecutor(f"{type(error).__name__}: {error}"))
        return future
