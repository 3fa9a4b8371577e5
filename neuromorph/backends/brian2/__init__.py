"""Brian2: every sample a replica in one network, on the numpy, cython or C++ standalone target."""

from neuromorph.backends.brian2.backend import Brian2Backend

__all__ = ["Brian2Backend"]
