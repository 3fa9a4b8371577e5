"""The compiled simulator: whole data sets on the CPU, bit for bit as `reference`."""

from neuromorph.backends.fast.backend import FastBackend

__all__ = ["FastBackend"]
