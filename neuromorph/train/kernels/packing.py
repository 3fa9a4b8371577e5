"""Between dense arrays of spikes and lane masks."""

import numpy as np

from neuromorph.simd.buffers import zeros
from neuromorph.simd.lanes import LANES, compiled, ones


def pack(x: np.ndarray) -> np.ndarray | None:
    """Zeros and ones [steps, batch, n] as lane masks [tiles, steps, n]; None where another value is found."""
    steps, batch, n = x.shape
    masks = zeros((-(-batch // LANES), steps, n), np.uint32)
    return masks if _pack(np.ascontiguousarray(x), masks) else None


@compiled
def _pack(x, masks):
    for t in range(x.shape[0]):
        for b in range(x.shape[1]):
            row = masks[b // LANES, t]
            bit = np.uint32(1) << np.uint32(b % LANES)
            strange = False
            for i in range(x.shape[2]):
                row[i] |= bit if x[t, b, i] != 0 else np.uint32(0)
                strange |= (x[t, b, i] != 0) & (x[t, b, i] != 1)
            if strange:
                return False
    return True


@compiled
def unpack(masks, z):
    """Lane masks [tiles, steps, n] as zeros and ones in z [steps, batch, n]."""
    for t in range(z.shape[0]):
        for b in range(z.shape[1]):
            row = masks[b // LANES, t]
            for i in range(z.shape[2]):
                z[t, b, i] = (row[i] >> np.uint32(b % LANES)) & np.uint32(1)


@compiled
def count(masks, counts):
    """Add the spikes of each neuron in masks [tiles, steps, n] to counts [n]."""
    for tile in range(masks.shape[0]):
        for t in range(masks.shape[1]):
            for i in range(masks.shape[2]):
                counts[i] += ones(masks[tile, t, i])
