"""Lava's simulation of Loihi on the CPU, driven in an interpreter of its own."""

from neuromorph.backends.lava.backend import LavaBackend
from neuromorph.backends.lava.check import self_test

__all__ = ["LavaBackend", "self_test"]
