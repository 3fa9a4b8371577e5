"""Lava's simulation of Loihi on the CPU, driven in an interpreter of its own."""

from neuromorph.backends.lava.backend import LavaBackend
from neuromorph.backends.lava.check import Check, self_test
from neuromorph.backends.lava.session import LavaSession

__all__ = ["Check", "LavaBackend", "LavaSession", "self_test"]
