"""Counting the neurons at which events arrive: their flags travel beside the weights (see `wiring.Lines`), 16 neurons a word."""

import numpy as np

from neuromorph.backends.fast.layout import WORD
from neuromorph.simd.lanes import at, inlined, load_any, ones_each, put, store_any, zeros

UNCOUNTED = 2**16 // WORD - 1
"""Steps whose active neurons, 16 at most in a word of 16 bits, can be counted before they are moved on."""


@inlined
def count_active(g, s):
    """Count, by population, the neurons at which events arrive in this step."""
    for w in range(0, len(g.always), WORD):
        store_any(s.arrived, w, load_any(g.always, w))
    for line in range(len(g.lines.width)):
        width, target = at(g.lines.flags, line), at(g.lines.target, line) // WORD
        slot = at(g.lines.touch, line) + at(s.now, line) * width
        for w in range(0, width, WORD):
            flags = load_any(s.touched, slot + w)
            store_any(s.arrived, target + w, load_any(s.arrived, target + w) | flags)
            store_any(s.touched, slot + w, zeros(flags))
    words = g.members.shape[1]
    for p in range(g.members.shape[0]):
        for w in range(at(g.first_member, p), at(g.last_member, p), WORD):
            i = p * words + w
            store_any(s.counts, i, load_any(s.counts, i) + ones_each(load_any(s.arrived, w) & load_any(g.members, i)))


@inlined
def add_up(sample, s, found):
    """Move the counts of some steps to what is found."""
    for p in range(s.counts.shape[0]):
        for w in range(s.counts.shape[1]):
            found.active[sample, p] += s.counts[p, w]
            s.counts[p, w] = 0


@inlined
def touch(line, begin, end, now, g, s):
    """Mark the targets of the events begin .. end - 1, which leave from slot `now`."""
    if at(g.reach, line) >= 0:
        _touch_rows(line, begin, end, now, g, s)
    else:
        _touch_list(line, begin, end, now, g, s)


@inlined
def _touch_rows(line, begin, end, now, g, s):
    flags, slots = at(g.flags, line), at(g.slots, line)
    for d in range(slots):
        arrives = now + d + 1
        out = at(g.touch, line) + (arrives - slots if arrives >= slots else arrives) * flags
        row = at(g.reach, line) + (d - at(g.first, line) * slots) * flags
        for w in range(0, flags, WORD):
            reached = load_any(s.touched, out + w)
            for i in range(begin, end):
                reached = reached | load_any(g.reached, row + np.int64(at(s.source, i)) * slots * flags + w)
            store_any(s.touched, out + w, reached)


@inlined
def _touch_list(line, begin, end, now, g, s):
    slots, flags = at(g.slots, line), at(g.flags, line)
    ahead = at(g.touch, line) + now * flags
    for i in range(begin, end):
        p = at(g.ptrs, line) + (np.int64(at(s.source, i)) - at(g.first, line)) * slots
        cut = at(g.ptr, p + slots - 1 - now)
        for q in range(at(g.ptr, p), at(g.ptr, p + slots)):
            flag = np.int64(at(g.flag, q))
            word = ahead + flag // WORD - (slots * flags if q >= cut else 0)
            put(s.touched, word, at(s.touched, word) | np.uint16(1 << (flag % WORD)))
