"""The random numbers of stochastic rounding on every target of Brian2, whose code has no operations on bits."""

from typing import Any

import numpy as np

from neuromorph.graph.plasticity import random_bits

CPP = """
static inline int64_t random_bits(int64_t bits, int64_t seed, int64_t draw, int64_t step, int64_t sample, int64_t synapse)
{
    const uint64_t mask = 0xFFFFFFFFu;
    uint64_t x = (uint64_t)seed*0x9E3779B1u + (uint64_t)step*0xC2B2AE3Du + (uint64_t)draw*0x165667B1u;
    x = (x + (uint64_t)sample*0x85EBCA77u + (uint64_t)synapse*0x27D4EB2Fu) & mask;
    x = ((x ^ (x >> 15))*0x2C1B3C6Du) & mask;
    x = ((x ^ (x >> 12))*0x297A2D39u) & mask;
    return (int64_t)((x ^ (x >> 15)) >> (32 - bits));
}
"""
CYTHON = """
cdef int64_t random_bits(int64_t bits, int64_t seed, int64_t draw, int64_t step, int64_t sample, int64_t synapse):
    cdef uint64_t mask = 0xFFFFFFFFu
    cdef uint64_t x = <uint64_t>seed*0x9E3779B1u + <uint64_t>step*0xC2B2AE3Du + <uint64_t>draw*0x165667B1u
    x = (x + <uint64_t>sample*0x85EBCA77u + <uint64_t>synapse*0x27D4EB2Fu) & mask
    x = ((x ^ (x >> 15))*0x2C1B3C6Du) & mask
    x = ((x ^ (x >> 12))*0x297A2D39u) & mask
    return <int64_t>((x ^ (x >> 15)) >> (32 - bits))
"""


def function(b2: Any) -> Any:
    """`graph.plasticity.random_bits` as a Brian2 function; the compiled targets compute modulo 2^64, of which 2^32 is a divisor."""
    found = b2.Function(_numpy, arg_units=[1] * 6, return_unit=1, arg_types=["integer"] * 6, return_type="integer")
    found.implementations.add_implementation("cpp", CPP, name="random_bits")
    found.implementations.add_implementation("cython", CYTHON, name="random_bits")
    return found


def _numpy(bits: int, seed: int, draw: int, step: Any, sample: np.ndarray, synapse: np.ndarray) -> np.ndarray:
    return random_bits(bits, seed, draw, int(step), sample, synapse)
