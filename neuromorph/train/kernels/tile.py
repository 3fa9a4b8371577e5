"""All steps of one tile of samples, forwards and backwards.

Kept of the forward pass: the spikes as masks, and v, a, u before every `chunk`-th step. Backwards each chunk is computed
again from them (a spike is never decided twice), so that memory hardly grows with the number of steps.
"""

from typing import NamedTuple

import numpy as np

from neuromorph.simd.lanes import LANES, compiled, greater, inlined, keep, load, multiply_add, splat, store, turn, where, zeros
from neuromorph.train.kernels.leaky import integrate, integrate_back, read, readout_gradient, spike_gradient
from neuromorph.train.kernels.neuron import adjoint, advance, blocked, overshoot
from neuromorph.train.kernels.synapses import deliver, find_events, product, pull, weight_gradient


class Tile(NamedTuple):
    """Which samples, and what is kept of them between the passes.

    `first`, `n`: samples first .. first + n - 1 of the batch; `valid`: their lanes. `x` [steps, inputs], `z` [steps, neurons]:
    masks. `drive` [steps or 0, batch, neurons]: further input of each step, arriving at the next. `v`, `a`, `u`
    [chunks, neurons, LANES]: state before each chunk.
    """

    steps: int
    chunk: int
    first: int
    n: int
    valid: np.uint32
    x: np.ndarray
    z: np.ndarray
    drive: np.ndarray
    v: np.ndarray
    a: np.ndarray
    u: np.ndarray


class Gradients(NamedTuple):
    """Gradients that come in, of the outputs, and go out, of what the layer was given.

    In: `trace` as in `forward`; `spikes` [steps or 0, batch, neurons]; `rates`, `over` [neurons]: for each spike, and twice that
    for each squared overshoot. Out: `synapses` (edges, or rows as `Synapses.rows`), `readout` [neurons, n], `x` [steps or 0,
    batch, inputs], `drive` [steps or 0, batch, neurons], `constants` [7 or 0, neurons, LANES].
    """

    trace: np.ndarray
    spikes: np.ndarray
    rates: np.ndarray
    over: np.ndarray
    synapses: np.ndarray
    readout: np.ndarray
    x: np.ndarray
    drive: np.ndarray
    constants: np.ndarray


@compiled
def copy(source, target):
    """Write the matrix `source` over the first rows and columns of `target`."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]


@compiled
def forward(k, c, f, s, r, e, state, ring, sums, read_ring, y, u, trace, over):
    """Run the tile k: fills k.z and the kept states; `trace` [steps, batch, n] or [1, batch, n] (mean) receives the readout.

    `over` [neurons, LANES]: sums of squared overshoot, where the form asks for it. The rest is working memory.
    """
    state.v[:] = 0
    state.a[:] = 0
    state.u[:] = 0
    state.drive[:] = 0
    ring[:] = 0
    sums[:] = 0
    read_ring[:] = 0
    y[:] = 0
    u[:] = 0
    over[:] = 0
    for t in range(k.steps):
        if t % k.chunk == 0:
            copy(state.v, k.v[t // k.chunk])
            copy(state.a, k.a[t // k.chunk])
            copy(state.u, k.u[t // k.chunk])
        if r.n and not r.mean:
            integrate(t, k.first, k.n, r, read_ring, y, u, trace)
        for j in range(s.neurons):
            fired = k.z[t - 1, j] if t > 0 else np.uint32(0)
            v, threshold = advance(j, fired, c, f, state)
            k.z[t, j] = greater(v, threshold) & ~blocked(k.z, t, j, c.n_ref[j]) & k.valid
            if f.overshoot:
                above, below = overshoot(v, threshold)
                store(over, j, load(over, j) + keep(k.valid, above * above + below * below))
        find_events(k.x[t], k.z[t], s.inputs, s.neurons, e)
        if t + 1 < k.steps:
            _arrive(t, k, s, e, state, ring, sums)
        if r.n:
            read(t, s.inputs, r, e, read_ring, k.steps, y)
    if r.n and r.mean:
        copy(y[: k.n], trace[0, k.first : k.first + k.n])


@compiled
def _arrive(t, k, s, e, state, ring, sums):
    """state.drive = what arrives at step t + 1."""
    deliver(t, s, e, ring, state.drive)
    if len(k.drive):
        copy(k.drive[t, k.first : k.first + k.n], sums)
        _add_turned(sums, s, state.drive)


@compiled
def _add_turned(sums, s, drive):
    """drive [width, LANES] += sums [LANES, width] transposed."""
    for j in range(s.neurons):
        for lane in range(LANES):
            drive[j, lane] += sums[lane, j]


@compiled
def _restore(first, last, chunk, k, c, f, s, e, state, ring, sums, V, A, U):
    """Rows 0, 1, ... of V, A, U [chunk + 1, neurons, LANES] = the state before step `first`, after it, ..."""
    copy(k.v[chunk], state.v)
    copy(k.a[chunk], state.a)
    copy(k.u[chunk], state.u)
    copy(state.v, V[0])
    copy(state.a, A[0])
    if f.current:
        copy(state.u, U[0])
    state.drive[:] = 0
    ring[:] = 0
    for t in range(max(0, first - s.slots), first):
        find_events(k.x[t], k.z[t], s.inputs, s.neurons, e)
        _arrive(t, k, s, e, state, ring, sums)
    for t in range(first, last):
        for j in range(s.neurons):
            fired = k.z[t - 1, j] if t > 0 else np.uint32(0)
            v, _ = advance(j, fired, c, f, state)
            row = (t - first + 1) * s.neurons + j
            store(V, row, v)
            store(A, row, load(state.a, j))
            if len(U) > 1:
                store(U, row, load(state.u if f.current else state.drive, j))
        if t + 1 < last:
            find_events(k.x[t], k.z[t], s.inputs, s.neurons, e)
            _arrive(t, k, s, e, state, ring, sums)


@compiled
def backward(k, c, f, s, r, e, state, ring, sums, kept, lanes, currents, turned, read_currents, back, g):
    """Fill the outgoing part of `g` for the tile k after `forward`.

    Working memory: `kept` = V, A, U of `_restore`; `back`: adjoint of v, a, u; `currents` [(slots + 1) width, LANES] and `turned`
    [LANES or 0, (slots + 1) width]: gradient of the input current of this and later steps; `lanes` [most, LANES].
    """
    V, A, U = kept
    back.v[:] = 0
    back.a[:] = 0
    back.u[:] = 0
    sums[:] = 0
    currents[:] = 0
    turned[:] = 0
    if r.n:
        integrate_back(k.steps, k.first, k.n, r, g.trace, read_currents)
    slots = s.slots + 1
    size = slots * s.width
    for chunk in range((k.steps - 1) // k.chunk, -1, -1):
        first, last = chunk * k.chunk, min(k.steps, (chunk + 1) * k.chunk)
        _restore(first, last, chunk, k, c, f, s, e, state, ring, sums, V, A, U)
        for t in range(last - 1, first - 1, -1):
            weight_gradient(t, s, k.x[t], k.z[t], e, currents, turned, g.synapses)
            if r.n:
                readout_gradient(t, k.z[t], s.neurons, r, read_currents, g.readout)
            if len(g.x):
                _input_gradient(t, k, s, currents, lanes, sums, g.x)
            if s.dense:
                product(s.packed, currents, ((t + 1) % slots) * s.width, lanes)
            if len(g.spikes):
                copy(g.spikes[t, k.first : k.first + k.n], sums)
                turn(sums, 0, sums.shape[1], LANES, s.width, state.drive, 0, LANES)
            for j in range(s.neurons):
                row = (t - first + 1) * s.neurons + j
                v, a = load(V, row), load(A, row)
                dz = keep(k.valid, splat(g.rates[j], v))
                if s.dense:
                    dz = dz + load(lanes, j)
                else:
                    dz = pull(t, s, s.inputs + j, currents, dz)
                dz = spike_gradient(t, j, r, read_currents, dz)
                if len(g.spikes):
                    dz = dz + load(state.drive, j)
                threshold = a + c.v_th[j] if f.by_threshold else splat(c.v_th[j], v)
                free = ~blocked(k.z, t, j, c.n_ref[j])
                over = keep(k.valid, splat(g.over[j], v))
                current, gth = adjoint(j, dz, k.z[t, j], free, v, threshold, over, c, f, back)
                store(currents, (t % slots) * s.width + j, current)
                if len(g.constants):
                    fired = k.z[t - 1, j] if t > 0 else np.uint32(0)
                    _constant_gradients(j, s.neurons, fired, row, c, f, V, A, U, back, gth, g.constants)
            slot = (t % slots) * s.width
            if len(turned):
                turn(currents, slot * LANES, LANES, s.width, LANES, turned, slot, size)
            if len(g.drive) and t > 0:
                for j in range(s.neurons):
                    for lane in range(k.n):
                        g.drive[t - 1, k.first + lane, j] = currents[slot + j, lane]


@compiled
def _input_gradient(t, k, s, currents, lanes, sums, gradient):
    """Row t of the gradient of the inputs, from the currents where their spikes arrive."""
    if s.dense:
        product(s.packed_inputs, currents, ((t + 1) % 2) * s.width, lanes)
    else:
        for i in range(s.inputs):
            store(lanes, i, pull(t, s, i, currents, zeros(load(currents, 0))))
    for i in range(s.inputs):
        for lane in range(k.n):
            gradient[t, k.first + lane, i] = lanes[i, lane]


@inlined
def _constant_gradients(j, n, fired, row, c, f, V, A, U, back, gth, sums):
    """Add what step `row` of the chunk says about decay_v, decay_u, gain, bias, v_th, decay_a and kappa of neuron j."""
    gv, ga = load(back.v, j), load(back.a, j)
    v = load(V, row - n)
    if not f.subtract:
        v = where(fired, splat(c.v_reset[j], v), v)
    store(sums, j, multiply_add(gv, v, load(sums, j)))
    if f.current:
        store(sums, n + j, multiply_add(load(back.u, j), load(U, row - n), load(sums, n + j)))
    store(sums, 2 * n + j, multiply_add(gv, load(U, row), load(sums, 2 * n + j)))
    store(sums, 3 * n + j, load(sums, 3 * n + j) + gv)
    store(sums, 4 * n + j, load(sums, 4 * n + j) + gth)
    store(sums, 5 * n + j, multiply_add(ga, load(A, row - n), load(sums, 5 * n + j)))
    store(sums, 6 * n + j, load(sums, 6 * n + j) + keep(fired, ga))
