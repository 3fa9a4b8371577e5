"""The leaky readout of a tile: driven by the events of the layer, as a trace of all steps or averaged over the last ones.

The average over steps is linear in the spikes: a spike that arrives at step t counts `k[t]` (see `mean_weights`).
"""

from typing import NamedTuple

import numpy as np

from neuromorph.simd.lanes import LANES, compiled, inlined, load, lowest, multiply_add


class Leaky(NamedTuple):
    """Readout of `n` integrators (0: none): weights, delays [neurons, n] and constants [n] in the layer's number type.

    `mean`: only the average counts, with `k` [steps + slots, n]; else every step does. `slots`: largest delay.
    """

    n: int
    mean: bool
    slots: int
    weight: np.ndarray
    delay: np.ndarray
    k: np.ndarray
    decay_v: np.ndarray
    decay_u: np.ndarray
    gain: np.ndarray
    bias: np.ndarray


def mean_weights(steps: int, window: int, extra: int, decay_v: np.ndarray, decay_u: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Weight of the input current of step t in the mean over the last `window` steps [steps + extra + 1, n]; the last row is the bias's."""
    k = np.zeros((steps + extra + 1, len(gain)))
    _mean_weights(steps, window, decay_v, decay_u, gain, k)
    return k


@compiled
def _mean_weights(steps, window, decay_v, decay_u, gain, k):
    for o in range(len(gain)):
        v = u = 0.0
        for t in range(steps - 1, -1, -1):
            v = decay_v[o] * v + (1 / window if t >= steps - window else 0.0)
            u = decay_u[o] * u + gain[o] * v
            k[t, o] = u
            k[-1, o] += v


@compiled
def read(t, n_in, r, e, ring, last, out):
    """Send the events of step t to the readout: `ring` [LANES, slots * n] for a trace, `out` [LANES, n] for the mean.

    `last`: first step after the end; what arrives later is lost.
    """
    for lane in range(LANES):
        for q in range(e.inputs[lane], e.number[lane]):
            j = e.source[lane, q] - n_in
            for o in range(r.n):
                arrival = t + r.delay[j, o]
                if arrival < last:
                    if r.mean:
                        out[lane, o] += r.weight[j, o] * r.k[arrival, o]
                    else:
                        ring[lane, (arrival % r.slots) * r.n + o] += r.weight[j, o]


@compiled
def integrate(t, first, n_lanes, r, ring, y, u, trace):
    """One step of the integrators: `y`, `u` [LANES, n] and row t of `trace` [steps, batch, n] at samples first, ..."""
    slot = (t % r.slots) * r.n
    for lane in range(n_lanes):
        for o in range(r.n):
            u[lane, o] = r.decay_u[o] * u[lane, o] + ring[lane, slot + o]
            y[lane, o] = r.decay_v[o] * y[lane, o] + r.gain[o] * u[lane, o] + r.bias[o]
            trace[t, first + lane, o] = y[lane, o]
    ring[:, slot : slot + r.n] = 0


@compiled
def integrate_back(steps, first, n_lanes, r, grad, currents):
    """Gradient of the input current of every step, `currents` [steps + slots, n, LANES], from that of the trace or the mean."""
    currents[:] = 0
    if r.mean:
        for o in range(r.n):
            for lane in range(n_lanes):
                currents[0, o, lane] = grad[0, first + lane, o]
        return
    for o in range(r.n):
        for lane in range(n_lanes):
            v = grad[0, 0, 0] * 0
            u = v
            for t in range(steps - 1, -1, -1):
                v = r.decay_v[o] * v + grad[t, first + lane, o]
                u = r.decay_u[o] * u + r.gain[o] * v
                currents[t, o, lane] = u


@inlined
def spike_gradient(t, j, r, currents, dz):
    """`dz` (lanes) and what a spike of neuron j at step t does to the readout."""
    for o in range(r.n):
        arrival = t + r.delay[j, o]
        if r.mean:
            dz = multiply_add(r.weight[j, o] * r.k[arrival, o], load(currents, o), dz)
        else:
            dz = multiply_add(r.weight[j, o], load(currents, arrival * r.n + o), dz)
    return dz


@compiled
def readout_gradient(t, z, n, r, currents, gradient):
    """Add to `gradient` [neurons, n] what the spikes z of step t met at the readout when they arrived."""
    for j in range(n):
        m = z[j]
        while m:
            lane = lowest(m)
            m &= m - np.uint32(1)
            for o in range(r.n):
                arrival = t + r.delay[j, o]
                if r.mean:
                    gradient[j, o] += r.k[arrival, o] * currents[0, o, lane]
                else:
                    gradient[j, o] += currents[arrival, o, lane]
