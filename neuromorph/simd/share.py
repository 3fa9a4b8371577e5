"""Threads over independent pieces of work: each takes the next one, without a barrier in between."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def threads() -> int:
    """Processors this process may use: $NEUROMORPH_THREADS, or those that it may run on."""
    if told := int(os.environ.get("NEUROMORPH_THREADS") or 0):
        return told
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_pool = ThreadPoolExecutor(max_workers=max(threads(), 1), thread_name_prefix="share")


def share(work: Callable[[], Callable[[int], None]], pieces: int) -> None:
    """Call `work()` once a thread for its working memory, then what it gives for each of 0 .. pieces - 1."""
    numbers = iter(range(pieces))

    def take(_: int) -> None:
        run = work()
        for number in numbers:
            run(number)

    n = min(threads(), pieces)
    if n == 1:
        take(0)
    else:
        list(_pool.map(take, range(n)))
