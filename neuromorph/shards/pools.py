"""Who computes shards: this process, processes of this machine, or a Dask cluster. All are standard executors."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from neuromorph.errors import BackendError

THREADS = {"NEUROMORPH_THREADS": "1"}
"""Environment of a worker beside which there are as many as processors."""


@dataclass(frozen=True)
class Pool:
    """An open executor. `in_flight()`: how many shards it should hold at once, waiting ones included."""

    executor: Executor
    in_flight: Callable[[], int]


Pools: TypeAlias = Callable[[], AbstractContextManager[Pool]]
"""Opens a pool; called again when one breaks. Leaving the context by an error ends shards that are still running."""


class _Here(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def serial() -> Iterator[Pool]:
    """One shard after the other, in this process."""
    yield Pool(_Here(), lambda: 1)


def processes(n: int) -> Pools:
    """`n` fresh processes on this machine, of one thread each. A script that uses them needs `if __name__ == "__main__":`."""
    return partial(_processes, n)


@contextmanager
def _processes(n: int) -> Iterator[Pool]:
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(n, context, _begin, (theirs,))
    try:
        yield Pool(executor, lambda: 2 * n)
    except BaseException:
        ours.close()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        ours.close()
        theirs.close()


def _begin(lifeline: Connection) -> None:
    """A worker's first act. It lives as long as somebody holds the other end; Ctrl-C is for the client to obey."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(THREADS)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def dask(address: str | None = None, workers: int = 2) -> Pools:
    """The workers of a Dask scheduler at `address` ("tcp://host:port", "tls://host:port"), or `workers` processes started here.

    Workers may come, go and die during a run. They need neuromorph and the simulator, not the client's files. Whoever reaches a
    scheduler can run code on its workers: on networks that others share, use tls (see "TLS/SSL" in Dask's documentation).

    Raises:
        BackendError: when opened: Dask is not installed, or no scheduler answers.
    """
    return partial(_dask, address, workers)


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[Pool]:
    try:
        import distributed
    except ImportError as error:
        raise BackendError("Shards: Dask's `distributed` is not installed; pip install 'neuromorph[distributed]'.") from error
    with ExitStack() as stack:
        cluster = address or stack.enter_context(
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                env=THREADS,
            )
        )
        try:
            client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        except (OSError, ValueError) as error:
            raise BackendError(f"Shards: no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler`.") from error
        yield Pool(client.get_executor(pure=False), partial(_wanted, client))


def _wanted(client: Any) -> int:
    """Twice the threads of the cluster as it is now."""
    try:
        return max(2, 2 * sum(client.nthreads().values()))
    except OSError:  # the scheduler is gone, which the shards in flight will tell
        return 1
