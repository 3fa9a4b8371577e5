"""Bits that synapses take in the memory of cores, exactly as Loihi 1 stores them.

nengo-loihi@e564f66, nengo_loihi/block.py, SynapseConfig.bits_per_axon: the synapses of an axon (those of one source neuron on one
core) lie in blocks of at most 64; a block has a header of 10 bits and fills words of 64 bits. A synapse has its weight, its delay and the
index of its compartment; without indices ("dense") there is one for every compartment in a row, absent ones too.
"""

from typing import Any

import numpy as np

from neuromorph.graph.projections import Projection
from neuromorph.hardware import HardwareProfile
from neuromorph.shapes import Int64

BLOCK = 64  # synapses
HEADER = 4 + 6  # bits: format, number of synapses


def axon_bits(synapses: Int64[np.ndarray, "..."], each: Int64[np.ndarray, "..."] | int, word: int = 64) -> Int64[np.ndarray, "..."]:
    """Bits of axons with so many synapses of `each` bits; memory comes in words of `word` bits."""
    blocks, rest = np.divmod(synapses, BLOCK)
    return blocks * _words(BLOCK * each + HEADER, word) + np.where(rest > 0, _words(rest * each + HEADER, word), 0)


def _words(bits: Any, word: int) -> Any:
    return -(-bits // word) * word


def index_bits(compartments: int, profile: HardwareProfile) -> int:
    """Bits that tell so many compartments apart: the fewest that the chip offers, or that there must be if it does not say."""
    needed = max(compartments - 1, 1).bit_length()
    offered = profile.limits.get("index_bits", ())
    return min((bits for bits in offered if bits >= needed), default=needed) if isinstance(offered, tuple) else needed


def internal_bits(synapses: int, index: Int64[np.ndarray, " slices"], profile: HardwareProfile) -> Int64[np.ndarray, " slices"]:
    """Bits of the axon of a neuron onto so many further compartments of its own; 0 where the profile does not say."""
    if not known(profile):
        return np.zeros_like(index)
    return axon_bits(np.full_like(index, synapses), profile.widest("weight_bits") + index, profile.limit("synapse_word_bits"))


def known(profile: HardwareProfile) -> bool:
    """Whether the profile says how synapses are stored."""
    return {"synapse_mem_bits_per_core", "synapse_word_bits", "weight_bits"} <= set(profile.limits)


class Memory:
    """Adds up the bits of one projection: `size` of the slices of its target, `index` bits on the core of each; `tagged`: its synapses
    are plastic and hold a tag, where the chip has any.
    """

    def __init__(
        self,
        q: Projection,
        size: Int64[np.ndarray, " slices"],
        index: Int64[np.ndarray, " slices"],
        profile: HardwareProfile,
        *,
        tagged: bool = False,
    ) -> None:
        self._size, self._known = size, known(profile)
        self._axons, self._listed = np.zeros_like(size), np.zeros_like(size)
        if self._known:
            delay = max(q.max_delay - 1, 0).bit_length()
            tag = profile.limit("tag_bits_signed") if tagged and "tag_bits_signed" in profile.limits else 0
            self._each, self._word = profile.widest("weight_bits") + delay + tag, profile.limit("synapse_word_bits")
            # bits of an axon by its slice and synapses: looked up, divisions being slow
            widths, which = np.unique(index, return_inverse=True)
            most = np.arange(int(size.max()) + 1)
            self._table = axon_bits(most, self._each + widths[:, None], self._word).reshape(-1)
            self._row = which * len(most)

    def add(self, slices: Int64[np.ndarray, " axons"], synapses: Int64[np.ndarray, " axons"]) -> None:
        """Axons by the slice in which they end, and their synapses."""
        if self._known:
            bits = self._table[self._row[slices] + synapses]
            self._axons += np.bincount(slices, minlength=len(self._size))
            self._listed += np.bincount(slices, bits, len(self._size)).astype(np.int64)

    def bits(self) -> Int64[np.ndarray, " slices"]:
        """Bits in each slice, with or without indices, whichever is less; 0 where the profile does not say how synapses are stored."""
        if not self._known:
            return np.zeros_like(self._size)
        return np.minimum(self._listed, self._axons * axon_bits(self._size, self._each, self._word))
