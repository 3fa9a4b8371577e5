"""Spikes through synapses, for a tile of samples: what arrives where and when, and the same backwards.

Sources of a layer are its inputs followed by its own neurons. Synapses lie by source, as live edges with a delay each
(`ptr`, `place`, `weight`), or, where nearly all exist and take one step, as dense rows. Both are driven by events: only spikes cost.
Sums per sample run over neurons that lie next to each other; one transposition a step brings them to lanes and back.
"""

from typing import NamedTuple

import numpy as np

from neuromorph.simd.lanes import (
    BLOCK,
    LANES,
    add_at,
    at,
    compiled,
    inlined,
    load,
    load_half,
    lowest,
    multiply_add,
    store,
    store_half,
    turn,
    zeros,
)

ROWS = 8 if BLOCK == 16 else 6
"""Rows of the dense product that share the registers."""


class Synapses(NamedTuple):
    """All synapses onto the `width` (neurons, rounded up to lanes) places of a layer.

    Edges lie by source j and delay d: they are ptr[j * slots + d - 1] .. ptr[j * slots + d]; `place[e]` = d * width + target.
    `slots`: largest delay. Where all delays are one step there may be `rows` [sources, width], which are then delivered in place
    of the edges. `dense`: go back through `packed` and `packed_inputs` (see `pack_rows`) in place of the edges.
    `gradient_ptr`, `gradient_place`: the edges whose gradient is wanted; empty: that of every entry of the rows.
    """

    inputs: int
    neurons: int
    width: int
    slots: int
    dense: bool
    ptr: np.ndarray
    place: np.ndarray
    weight: np.ndarray
    rows: np.ndarray
    packed: np.ndarray
    packed_inputs: np.ndarray
    gradient_ptr: np.ndarray
    gradient_place: np.ndarray


class Events(NamedTuple):
    """Sources that spike in one step, by lane: `source[lane, :number[lane]]`, inputs (`inputs[lane]` of them) first."""

    source: np.ndarray
    number: np.ndarray
    inputs: np.ndarray


@compiled
def find_events(x, z, n_in, n, e):
    """Events of the lane masks x [n_in] and z [n]."""
    e.number[:] = 0
    for j in range(n_in):
        m = x[j]
        while m:
            lane = lowest(m)
            m &= m - np.uint32(1)
            e.source[lane, e.number[lane]] = j
            e.number[lane] += 1
    for lane in range(LANES):
        e.inputs[lane] = e.number[lane]
    for j in range(n):
        m = z[j]
        while m:
            lane = lowest(m)
            m &= m - np.uint32(1)
            e.source[lane, e.number[lane]] = n_in + j
            e.number[lane] += 1


@compiled
def deliver(t, s, e, ring, drive):
    """Send the events of step t; `drive` [width, LANES] receives what arrives at step t + 1, whose slot is emptied.

    `ring` [LANES, slots * width]: what is still on its way.
    """
    if len(s.rows):
        _row_sums(s, e, ring)
        turn(ring, 0, s.width, LANES, s.width, drive, 0, LANES)
        return
    size = s.slots * s.width
    now = t % s.slots
    ahead = now * s.width
    for lane in range(LANES):
        row = lane * size + ahead
        for k in range(e.number[lane]):
            first = np.int64(e.source[lane, k]) * s.slots
            cut = s.ptr[first + s.slots - 1 - now]
            for q in range(s.ptr[first], cut):
                add_at(ring, row + np.int64(at(s.place, q)), at(s.weight, q))
            for q in range(cut, s.ptr[first + s.slots]):
                add_at(ring, row - size + np.int64(at(s.place, q)), at(s.weight, q))
    slot = ((t + 1) % s.slots) * s.width
    turn(ring, slot, size, LANES, s.width, drive, 0, LANES)
    for lane in range(LANES):
        ring[lane, slot : slot + s.width] = 0


@compiled
def _row_sums(s, e, sums):
    n = s.width // LANES
    for lane in range(LANES):
        for c in range(0, n - 1, 2):
            s0 = zeros(load(sums, 0))
            s1 = s0
            for k in range(e.number[lane]):
                row = np.int64(e.source[lane, k]) * n + c
                s0 = s0 + load(s.rows, row)
                s1 = s1 + load(s.rows, row + 1)
            store(sums, lane * n + c, s0)
            store(sums, lane * n + c + 1, s1)
        if n & 1:
            s0 = zeros(load(sums, 0))
            for k in range(e.number[lane]):
                s0 = s0 + load(s.rows, np.int64(e.source[lane, k]) * n + n - 1)
            store(sums, lane * n + n - 1, s0)


@inlined
def _pull(s, first, last, shift, currents, start):
    a, b = start, zeros(start)
    for q in range(first, last - 1, 2):
        a = multiply_add(at(s.weight, q), load(currents, shift + np.int64(at(s.place, q))), a)
        b = multiply_add(at(s.weight, q + 1), load(currents, shift + np.int64(at(s.place, q + 1))), b)
    if (last - first) & 1:
        a = multiply_add(at(s.weight, last - 1), load(currents, shift + np.int64(at(s.place, last - 1))), a)
    return a + b


@inlined
def pull(t, s, j, currents, start):
    """`start` and, in lanes, the sum over the synapses of source j of weight * currents where a spike of step t arrives.

    `currents` [(slots + 1) * width, LANES]: slots by step.
    """
    now = t % (s.slots + 1)
    first = j * s.slots
    cut = s.ptr[first + s.slots - now]
    ahead = now * s.width
    start = _pull(s, s.ptr[first], cut, ahead, currents, start)
    if now == 0:
        return start
    return _pull(s, cut, s.ptr[first + s.slots], ahead - (s.slots + 1) * s.width, currents, start)


@compiled
def weight_gradient(t, s, x, z, e, currents, turned, gradient):
    """Add the currents that the spikes of step t met when they arrived, slots by step.

    `currents` [(slots + 1) * width, LANES], and `turned` [LANES, (slots + 1) * width], which only many synapses need.
    """
    if len(s.gradient_ptr) == 0:
        _row_gradient(s, x, 0, s.inputs, turned, ((t + 1) % 2) * s.width, gradient)
        _row_gradient(s, z, s.inputs, s.neurons, turned, ((t + 1) % 2) * s.width, gradient)
    elif len(turned):
        _every_gradient(t, s, x, z, e, turned, gradient)
    else:
        _live_gradient(t, s, x, 0, s.inputs, currents, gradient)
        _live_gradient(t, s, z, s.inputs, s.neurons, currents, gradient)


@compiled
def _every_gradient(t, s, x, z, e, turned, gradient):
    find_events(x, z, s.inputs, s.neurons, e)
    size = (s.slots + 1) * s.width
    now = t % (s.slots + 1)
    for lane in range(LANES):
        row = lane * size + now * s.width
        for k in range(e.number[lane]):
            first = np.int64(e.source[lane, k]) * s.slots
            cut = s.gradient_ptr[first + s.slots - now]
            for q in range(s.gradient_ptr[first], cut):
                add_at(gradient, q, at(turned, row + np.int64(at(s.gradient_place, q))))
            for q in range(cut, s.gradient_ptr[first + s.slots]):
                add_at(gradient, q, at(turned, row - size + np.int64(at(s.gradient_place, q))))


@compiled
def _live_gradient(t, s, spikes, before, number, currents, gradient):
    now = t % (s.slots + 1)
    ahead = now * s.width
    for j in range(number):
        m = spikes[j]
        first = (before + j) * s.slots
        cut = s.gradient_ptr[first + s.slots - now]
        while m:
            lane = lowest(m)
            m &= m - np.uint32(1)
            for q in range(s.gradient_ptr[first], cut):
                add_at(gradient, q, at(currents, (ahead + np.int64(at(s.gradient_place, q))) * LANES + lane))
            behind = ahead - (s.slots + 1) * s.width
            for q in range(cut, s.gradient_ptr[first + s.slots]):
                add_at(gradient, q, at(currents, (behind + np.int64(at(s.gradient_place, q))) * LANES + lane))


@compiled
def _row_gradient(s, spikes, first, number, currents, slot, gradient):
    n = s.width // LANES
    size = (s.slots + 1) * s.width
    for j in range(number):
        m = spikes[j]
        row = (first + j) * n
        while m:
            lane = lowest(m)
            m &= m - np.uint32(1)
            at_lane = (lane * size + slot) // LANES
            for c in range(n):
                store(gradient, row + c, load(gradient, row + c) + load(currents, at_lane + c))


def pack_rows(weights: np.ndarray) -> np.ndarray:
    """Weights [source, target] as blocks of ROWS sources for `product`: [blocks, target, ROWS]."""
    blocks = -(-len(weights) // ROWS)
    padded = np.zeros((blocks * ROWS, weights.shape[1]), weights.dtype)
    padded[: len(weights)] = weights
    return np.ascontiguousarray(padded.reshape(blocks, ROWS, weights.shape[1]).transpose(0, 2, 1))


if ROWS == 8:

    @compiled
    def product(packed, currents, first, out):
        """out[j] = sum_i weights[j, i] currents[first + i], lanes side by side; `packed` as from `pack_rows`."""
        for p in range(packed.shape[0]):
            a0 = zeros(load(currents, 0))
            a1, a2, a3, a4, a5, a6, a7 = a0, a0, a0, a0, a0, a0, a0
            q = p * packed.shape[1] * 8
            for i in range(packed.shape[1]):
                d = load(currents, first + i)
                a0 = multiply_add(at(packed, q), d, a0)
                a1 = multiply_add(at(packed, q + 1), d, a1)
                a2 = multiply_add(at(packed, q + 2), d, a2)
                a3 = multiply_add(at(packed, q + 3), d, a3)
                a4 = multiply_add(at(packed, q + 4), d, a4)
                a5 = multiply_add(at(packed, q + 5), d, a5)
                a6 = multiply_add(at(packed, q + 6), d, a6)
                a7 = multiply_add(at(packed, q + 7), d, a7)
                q += 8
            o = p * 8
            store(out, o, a0)
            store(out, o + 1, a1)
            store(out, o + 2, a2)
            store(out, o + 3, a3)
            store(out, o + 4, a4)
            store(out, o + 5, a5)
            store(out, o + 6, a6)
            store(out, o + 7, a7)

else:

    @compiled
    def product(packed, currents, first, out):
        """out[j] = sum_i weights[j, i] currents[first + i], lanes side by side; `packed` as from `pack_rows`."""
        for p in range(packed.shape[0]):
            for half in range(2):
                a0 = zeros(load_half(currents, 0))
                a1, a2, a3, a4, a5 = a0, a0, a0, a0, a0
                q = p * packed.shape[1] * 6
                for i in range(packed.shape[1]):
                    d = load_half(currents, 2 * (first + i) + half)
                    a0 = multiply_add(at(packed, q), d, a0)
                    a1 = multiply_add(at(packed, q + 1), d, a1)
                    a2 = multiply_add(at(packed, q + 2), d, a2)
                    a3 = multiply_add(at(packed, q + 3), d, a3)
                    a4 = multiply_add(at(packed, q + 4), d, a4)
                    a5 = multiply_add(at(packed, q + 5), d, a5)
                    q += 6
                o = p * 12 + half
                store_half(out, o, a0)
                store_half(out, o + 2, a1)
                store_half(out, o + 4, a2)
                store_half(out, o + 6, a3)
                store_half(out, o + 8, a4)
                store_half(out, o + 10, a5)
