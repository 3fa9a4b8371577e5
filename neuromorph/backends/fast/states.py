"""Working memory of the kernel: of one thread, or of a batch of samples that stand side by side."""

import numpy as np

from neuromorph.backends.fast.kernel import QUAD, State
from neuromorph.backends.fast.layout import WORD
from neuromorph.backends.fast.tables import Tables
from neuromorph.simd.buffers import zeros


def state(g: Tables, number: np.dtype) -> State:
    """Of one thread; `number`: type of sums."""
    n, columns = len(g.owner), g.lines.columns + WORD  # `learning` adds a word at a time
    v, u, a, drive, ring = (zeros((size,), g.dtype) for size in (n, n, n, n, columns))
    fired, blocked = (zeros((g.reach.shape[1],), np.uint16) for _ in range(2))
    fired_4 = fired.view(np.uint64)[: -(-n // QUAD)]
    return State(
        v,
        u,
        a,
        drive,
        ring,
        now=np.zeros(len(g.lines.width), np.int64),
        fired=fired,
        fired_4=fired_4,
        blocked=blocked,
        recent=zeros(g.reach.shape, np.uint16),
        source=np.zeros(g.n_in + n + WORD, np.int32),
        before=np.zeros(len(fired_4), np.int64),
        begin=np.zeros(len(g.marks), np.int64),
        touched=np.zeros(g.lines.words, np.uint16),
        arrived=np.zeros(g.members.shape[1] + WORD, np.uint16),
        counts=np.zeros(g.members.shape, np.uint16),
        sums=zeros((n,), number),
    )
