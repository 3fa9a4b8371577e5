"""All steps of one sample, 16 neurons side by side in SIMD lanes: `reference`'s step, bit for bit.

The state of a network of some hundred neurons stays in the processor's first cache; only spikes cost synaptic work.
"""

from typing import Any, NamedTuple

import numpy as np

from neuromorph.backends.fast.activity import UNCOUNTED, add_up, count_active, touch
from neuromorph.backends.fast.arithmetic import amplified, clipped, decayed, lowered, raised, wrapped
from neuromorph.backends.fast.layout import WORD
from neuromorph.backends.fast.learning import clear, deliver, learn
from neuromorph.simd.lanes import (
    LANES,
    add_at,
    at,
    compiled,
    differ,
    greater,
    inlined,
    keep,
    load,
    load_2,
    load_4,
    load_any,
    load_half,
    lowest,
    ones,
    put,
    store,
    store_any,
    store_half,
    where,
    widen,
    zeros,
)

V, U, A = range(3)
"""State variables, in the order in which their saturations are counted."""
QUAD = 4 * WORD
"""Neurons whose spikes of a step are one number of 64 bits."""


class Train(NamedTuple):
    """All input events: those of step t of sample s are source[begin[k] : begin[k + 1]], k = s * steps + t, ascending. 16 numbers more
    lie behind them.
    """

    begin: np.ndarray
    source: np.ndarray


class State(NamedTuple):
    """`v`, `u`, `a`, `drive` [places]; `ring` [columns]: spikes on their way; `now` [lines]: the slot of this step.

    `fired`, `blocked` [words]: who spiked last, who is refractory; `fired_4` is the memory of `fired`, four words in one; `recent`
    [longest refractory period, words]: who spiked. `source` [sources]: who spikes in this step; `begin` [marks]: which of them is the first
    at or above each of `tables.marks`; `before`: how many precede each of `fired_4`. Flags of 16 neurons each: `touched`, where an
    event is on its way, by line and slot; `arrived`, where one is now; `counts`: of these by population. `sums`
    [places]: v added up.
    """

    v: np.ndarray
    u: np.ndarray
    a: np.ndarray
    drive: np.ndarray
    ring: np.ndarray
    now: np.ndarray
    fired: np.ndarray
    fired_4: np.ndarray
    blocked: np.ndarray
    recent: np.ndarray
    source: np.ndarray
    before: np.ndarray
    begin: np.ndarray
    touched: np.ndarray
    arrived: np.ndarray
    counts: np.ndarray
    sums: np.ndarray


class Found(NamedTuple):
    """What is kept; an array without samples, or without places, is left alone.

    `z` [samples, steps, words]: spikes. `v`, `a` [steps, samples, kept] of the places `kept_v`, `kept_a`. `saturated` [populations, 3]:
    how often V, U, A were clipped or wrapped. `fired` [samples, sources]: spikes of each source; `active` [samples, populations]:
    neurons and steps at which an event arrives; `sums` [samples, kept]: v of the places `kept_sums`, which lie in the words `summed`,
    added up from step `since` on.
    """

    z: np.ndarray
    v: np.ndarray
    a: np.ndarray
    kept_v: np.ndarray
    kept_a: np.ndarray
    saturated: np.ndarray
    fired: np.ndarray
    active: np.ndarray
    sums: np.ndarray
    kept_sums: np.ndarray
    summed: np.ndarray
    since: int


@compiled
def simulate(first, last, steps, g, train, s, found, plastic):
    """Run samples first .. last - 1 through the graph `g` (`tables.Tables`), each from zero state; adds to `found`.

    `plastic`: `rules.Plastic`, or None in graphs without plastic synapses, for which nothing of it is compiled.
    """
    for sample in range(first, last):
        _simulate(sample, steps, g, train, s, found, plastic)


@inlined
def _simulate(sample, steps, g, train, s, found, plastic):
    s.v[:] = 0
    s.u[:] = 0
    s.a[:] = 0
    s.drive[:] = 0
    s.ring[:] = 0
    s.touched[:] = 0
    s.now[:] = 0
    s.fired[:] = 0
    s.recent[:] = 0
    s.sums[:] = 0
    clear(plastic, s)
    counting, recording, words = len(found.fired) > 0, len(found.z) > 0, len(s.v) // WORD
    past, uncounted, events = np.int64(0), 0, sample * steps  # a literal 0 would be a type of its own, for which all is compiled again
    for t in range(steps):
        past = advance(past, g, s, found.saturated)
        if recording:
            for w in range(words):
                put(found.z, (sample * steps + t) * words + w, at(s.fired, w))
        for i in range(len(found.kept_v)):
            found.v[t, sample, i] = s.v[found.kept_v[i]]
        for i in range(len(found.kept_a)):
            found.a[t, sample, i] = s.a[found.kept_a[i]]
        learn(plastic, t, sample, g.lines, s)
        first, last = at(train.begin, events + t), at(train.begin, events + t + 1)
        for i in range(0, last - first, WORD):
            store_any(s.source, i, load_any(train.source, first + i))
        n = list_events(last - first, g, s)
        if counting:
            for i in range(n):
                add_at(found.fired, sample * found.fired.shape[1] + np.int64(at(s.source, i)), np.int32(1))
            count_active(g, s)
            uncounted += 1
            if uncounted == UNCOUNTED or t == steps - 1:
                add_up(sample, s, found)
                uncounted = 0
            if t >= found.since:
                for i in range(len(found.summed)):
                    w = at(found.summed, i)
                    store_half(s.sums, w, load_half(s.sums, w) + widen(load_half(s.v, w), s.sums))
        for line in range(len(g.lines.width)):
            send(line, counting, g.lines, s)
        deliver(plastic, g.lines, s)
    for i in range(len(found.kept_sums)):
        found.sums[sample, i] = s.sums[found.kept_sums[i]]


@inlined
def advance(past, g, s, saturated):
    """All neurons by one step; `past`: the row of s.recent for its spikes. Gives the next row."""
    for line in range(len(g.lines.width)):
        _receive(line, g.lines, s)
    _refractory(past, g.reach, s)
    for run in range(len(g.runs.first)):
        _advance(run, g.constants, g.runs, g.owner, s, saturated)
    return _remember(past, s)


@inlined
def _receive(line, g, s):
    """What arrives now through a line becomes, or is added to, s.drive."""
    slot = (at(g.ring, line) + at(s.now, line) * at(g.width, line)) // WORD
    target, shifts, down = at(g.target, line) // WORD, at(g.shifts, line) // WORD, at(g.down, line) != 0
    first, written = at(g.opens, line) != 0, at(g.row, line) >= 0
    for w in range(at(g.width, line) // WORD):
        sums, shift = load_half(s.ring, slot + w), load_half(g.shift, shifts + w)
        drive = lowered(sums, shift) if down else raised(sums, shift)
        store_half(s.drive, target + w, drive if first else load_half(s.drive, target + w) + drive)
        if not written:
            store_half(s.ring, slot + w, zeros(sums))


@inlined
def _refractory(past, reach, s):
    """s.blocked: the neurons that are refractory in this step; `past`: the row of s.recent after that of the last step."""
    periods, chunks = len(s.recent), len(s.blocked) // WORD
    for chunk in range(chunks):
        blocked = zeros(load_half(s.blocked, chunk))
        row = past
        for d in range(periods):
            row = (row if row else periods) - 1
            blocked = blocked | (load_half(s.recent, row * chunks + chunk) & load_half(reach, d * chunks + chunk))
        store_half(s.blocked, chunk, blocked)


@inlined
def _remember(past, s):
    """Put the spikes of this step into row `past` of s.recent; gives the next row."""
    periods, chunks = len(s.recent), len(s.blocked) // WORD
    if not periods:
        return 0
    for chunk in range(chunks):
        store_half(s.recent, past * chunks + chunk, load_half(s.fired, chunk))
    return past + 1 if past + 1 < periods else 0


@inlined
def _advance(run, c, g, owner, s, saturated):
    """Lines 2-6 of the step for neurons of one form, and their spikes in s.fired."""
    spikes, adapts, by_threshold = at(g.spikes, run) != 0, at(g.adapts, run) != 0, at(g.by_threshold, run) != 0
    subtract, has_current = at(g.subtract, run) != 0, at(g.current, run) != 0
    turns, swells = at(g.turns, run) != 0, at(g.swells, run) != 0
    for w in range(at(g.first, run), at(g.last, run)):
        fired = at(s.fired, w)
        raw_u = load_half(s.drive, w)
        if has_current:
            raw_u = decayed(load_half(s.u, w), load_half(c.decay_u, w)) + raw_u
        u = raw_u
        if turns:
            u = wrapped(raw_u)
            _count(raw_u, u, w, U, owner, saturated)
        if has_current:
            store_half(s.u, w, u)
        v = load_half(s.v, w)
        threshold = load_half(c.v_th, w)
        crossed, h = threshold, zeros(v)
        if adapts:
            a = load_half(s.a, w)
            before = decayed(a, load_half(c.decay_a, w))
            raw_a = where(fired, before + load_half(c.kappa, w), before)
            new = raw_a
            if swells:
                new = clipped(raw_a)
                _count(raw_a, new, w, A, owner, saturated)
            store_half(s.a, w, new)
            if by_threshold:
                crossed = threshold + a
                threshold = threshold + new
            else:
                h = new
        if not subtract:
            v = where(fired, load_half(c.v_reset, w), v)
        raw_v = decayed(v, load_half(c.decay_v, w)) + amplified(u, load_half(c.gain, w)) + load_half(c.bias, w) - h
        if subtract:
            raw_v = raw_v - keep(fired, crossed)
        v = clipped(raw_v)
        _count(raw_v, v, w, V, owner, saturated)
        store_half(s.v, w, v)
        if spikes:
            put(s.fired, w, greater(v, threshold) & ~at(s.blocked, w))


@inlined
def _count(raw, bounded, w, variable, owner, saturated):
    lost = differ(raw, bounded)
    while lost:
        saturated[owner[w * WORD + lowest(lost)], variable] += 1
        lost &= lost - np.uint16(1)


@inlined
def list_events(n, g, s):
    """Add the neurons that spike to the n inputs in s.source, and find where each mark begins; gives the number of all."""
    inputs = n
    for w in range(len(s.fired_4)):
        put(s.before, w, np.int64(n))
        m = at(s.fired_4, w)
        for _ in range(2):  # as most words have no more, this needs no branch, which could not be foretold
            put(s.source, n, np.int32(g.n_in + w * QUAD + lowest(m)))
            n += 1 if m else 0
            m &= m - np.uint64(1)
        while m:
            put(s.source, n, np.int32(g.n_in + w * QUAD + lowest(m)))
            m &= m - np.uint64(1)
            n += 1
    for k in range(len(g.marks)):
        place = at(g.marks, k) - g.n_in
        if place < 0:
            i = 0
            while i < inputs and at(s.source, i) < at(g.marks, k):
                i += 1
        elif place >= len(s.fired_4) * QUAD:
            i = n
        else:
            below = at(s.fired_4, place // QUAD) & ((np.uint64(1) << np.uint64(place % QUAD)) - np.uint64(1))
            i = at(s.before, place // QUAD) + ones(below)
        put(s.begin, k, i)
    return n


@inlined
def send(line, counting, g, s):
    """Send the events of this step through a line, and move it on to the next."""
    begin, end, now = at(s.begin, at(g.from_, line)), at(s.begin, at(g.until, line)), at(s.now, line)
    if counting:
        touch(line, begin, end, now, g, s)
    if at(g.row, line) >= 0:
        _send_rows(line, begin, end, g, s)
        return
    width, slots = at(g.width, line), at(g.slots, line)
    put(s.now, line, now + 1 if now + 1 < slots else 0)
    ahead = at(g.ring, line) + now * width
    for i in range(begin, end):
        p = at(g.ptrs, line) + (np.int64(at(s.source, i)) - at(g.first, line)) * slots
        cut = at(g.ptr, p + slots - 1 - now)
        for q in range(at(g.ptr, p), cut):
            add_at(s.ring, ahead + np.int64(at(g.place, q)), at(g.weight, q))
        for q in range(cut, at(g.ptr, p + slots)):
            add_at(s.ring, ahead - slots * width + np.int64(at(g.place, q)), at(g.weight, q))


def _adding(load: Any) -> Any:
    """Sum of what `load` takes of the rows of the events begin .. end - 1."""

    @inlined
    def add(begin, end, row, blocks, rows, s, out):
        total = zeros(load(rows, 0))
        for i in range(begin, end):
            total = total + load(rows, row + np.int64(at(s.source, i)) * blocks)
        store(s.ring, out, widen(total, s.ring))

    return add


_add_1, _add_2, _add_4 = _adding(load), _adding(load_2), _adding(load_4)


@inlined
def _send_rows(line, begin, end, g, s):
    """Sums of rows of weights, which arrive at the next step; as many columns at once as the registers hold."""
    blocks = at(g.width, line) // LANES
    row, out = at(g.row, line) // LANES - at(g.first, line) * blocks, at(g.ring, line) // LANES
    c = 0
    if g.rows.itemsize == 2:
        while c + 4 <= blocks:
            _add_4(begin, end, row + c, blocks, g.rows, s, out + c)
            c += 4
    if g.rows.itemsize <= 4:
        while c + 2 <= blocks:
            _add_2(begin, end, row + c, blocks, g.rows, s, out + c)
            c += 2
    while c < blocks:
        _add_1(begin, end, row + c, blocks, g.rows, s, out + c)
        c += 1
