"""The step of plastic synapses, for graphs that have any: `plastic.PlasticSynapses`, bit for bit, 16 synapses of a row side by side."""

from inspect import unwrap
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from neuromorph.backends.fast.layout import WORD
from neuromorph.backends.fast.rules import MODULATED, POST, PRE, RETROACTIVE, M
from neuromorph.backends.fast.updates import faded, lessened, update_row
from neuromorph.simd.lanes import INLINED, at, inlined, load_any, load_half, store_any


def clear(x: Any, s: Any) -> None:
    """Plastic synapses as they are at the start of a sample."""


@overload(clear, jit_options=INLINED)
def _clear(x, s):
    def fixed(x, s):
        return

    def plastic(x, s):
        x.synapses.pre[:] = 0
        x.synapses.post[:] = 0
        x.synapses.H[:] = 0
        x.synapses.E[:] = 0
        s.begin[:] = 0

    return unwrap(fixed if isinstance(x, types.NoneType) else plastic)


def learn(x: Any, t: Any, sample: Any, lines: Any, s: Any) -> None:
    """Lines 2 to 5 of step t of a sample, while s.source and s.begin still hold the events of the step before, and what is kept of it."""


@overload(learn, jit_options=INLINED)
def _learn(x, t, sample, lines, s):
    def fixed(x, t, sample, lines, s):
        return

    def plastic(x, t, sample, lines, s):
        for q in range(len(x.rules.line)):
            _traces(q, x, lines, s)
            quiet = _third(q, t, sample, x, s)
            _rows(q, t, sample + x.third.sample, quiet, x.rules, x.synapses, x.learned.saturated)
        for k in range(len(x.learned.kept)):
            place = at(x.learned.kept, k)
            x.learned.H[t, sample, k] = at(x.synapses.H, place)
            x.learned.E[t, sample, k] = at(x.synapses.E, place)

    return unwrap(fixed if isinstance(x, types.NoneType) else plastic)


def deliver(x: Any, lines: Any, s: Any) -> None:
    """Line 1 of the next step: what the events of this one send through plastic synapses."""


@overload(deliver, jit_options=INLINED)
def _deliver(x, lines, s):
    def fixed(x, lines, s):
        return

    def plastic(x, lines, s):
        g = x.rules
        for q in range(len(g.line)):
            line = g.line[q]
            out = lines.ring[line] + g.place[q] - lines.target[line]
            for i in range(s.begin[lines.from_[line]], s.begin[lines.until[line]]):
                row = g.rows[q] + s.source[i] - lines.first[line]
                _send_row(row, out, g, x.synapses.H, s.ring)

    return unwrap(fixed if isinstance(x, types.NoneType) else plastic)


@inlined
def _send_row(row, out, g, H, ring):
    """Add what a row sends to the columns of the ring from `out` on; a hole, and what lies behind the row, adds 0."""
    first, size, target = at(g.first, row), at(g.size, row), at(g.target, row)
    if target < 0:
        for k in range(first, first + size):
            ring[out + at(g.targets, k)] += at(g.weight, k) + at(g.alpha, k) * at(H, k)
        return
    for w in range(-(-size // WORD)):
        k, column = first // WORD + w, out + target + w * WORD
        sent = load_half(g.weight, k) + load_half(g.alpha, k) * load_half(H, k)
        store_any(ring, column, load_any(ring, column) + sent)


@inlined
def _traces(q, x, lines, s):
    """Lines 2 and 3: traces, and synapses.q by target."""
    g, own, saturated = x.rules, x.synapses, x.learned.saturated
    pre, post, line, most = g.pre[q], g.post[q], g.line[q], g.trace_max[q]
    for i in range(pre, pre + g.n_source[q]):
        own.pre[i] = faded(own.pre[i], g.decay_pre[q])
    for k in range(s.begin[lines.from_[line]], s.begin[lines.until[line]]):
        i = pre + s.source[k] - lines.first[line]
        p = own.pre[i] + g.pre_step[q]
        saturated[q, PRE] += p > most
        own.pre[i] = min(p, most)
    for j in range(g.n_target[q]):
        place = g.place[q] + j
        spike = (at(s.fired, place // WORD) >> np.uint16(place % WORD)) & 1
        z = faded(own.post[post + j], g.decay_post[q]) + spike * g.post_step[q]
        saturated[q, POST] += z > most
        z = min(z, most)
        own.post[post + j] = z
        own.q[j] = z - g.post_offset[q]


@inlined
def _third(q, t, sample, x, s):
    """Line 4: synapses.m by target; gives whether all of it is 0 though there is a third factor."""
    third, own, limit, n = x.third, x.synapses, x.rules.third_limit[q], x.rules.n_target[q]
    width, first, quiet = third.width[q], third.first[q], third.width[q] > 0
    for j in range(width):
        if third.readout[q]:
            m = lessened(s.v[first + j], x.rules.third_shift[q])
        else:
            m = third.values[t - third.step, sample, first + j]
        x.learned.saturated[q, M] += abs(m) > limit
        if m > limit:
            m = limit
        if m < -limit:
            m = -limit
        quiet = quiet and m == 0
        if j < n:
            own.m[j] = m
    if width == 1:
        own.m[:n] = own.m[0]
    return quiet


@inlined
def _rows(q, t, number, quiet, g, s, saturated):
    """Line 5. Where the presynaptic trace or the third factor is 0, what would be added to H is 0 too, in every bit."""
    kind = g.kind[q]
    if kind == MODULATED and quiet:
        return
    for i in range(g.n_source[q]):
        row, p = g.rows[q] + i, s.pre[g.pre[q] + i]
        if kind != RETROACTIVE and p == 0:
            continue
        first, j = at(g.first, row), at(g.target, row)
        if j < 0:
            j = g.widest
            for k in range(at(g.size, row)):
                s.q[j + k] = s.q[at(g.targets, first + k)]
                s.m[j + k] = s.m[at(g.targets, first + k)]
        update_row(q, row, p, j, t, number, quiet, g, s, saturated)
