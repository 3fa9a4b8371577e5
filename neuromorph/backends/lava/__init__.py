"""Lava's simulation of Loihi on the CPU, driven in an interpreter of its own."""

from neuromorph.backends.lava.backend import LavaBackend
from neuromorph.backends.lava.check import Check, self_test
from neuromorph.backends.lava.session import LavaSession
from neuromorph.backends.lava.steps import LavaSteps

__all__ = ["Check", "LavaBackend", "LavaSession", "LavaSteps", "self_test"]
