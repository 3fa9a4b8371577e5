"""Errors: one base class; every message names the object, what it got, what is allowed and what to do."""


class NeuromorphError(Exception):
    """Base of every error that this package raises on bad input."""


class GraphError(NeuromorphError, ValueError):
    """A graph, population, projection or spike array breaks a rule."""


class FormatError(NeuromorphError, ValueError):
    """A file is not what it claims to be, or is not safe to read."""


class ProfileError(NeuromorphError, ValueError):
    """A hardware profile is unknown or breaks the schema."""


class QuantizationError(NeuromorphError, ValueError):
    """A graph cannot be expressed in the numbers of a chip."""


class MappingError(NeuromorphError, ValueError):
    """A graph does not fit the cores of a chip."""


class BackendError(NeuromorphError, RuntimeError):
    """A simulator is missing, cannot run this graph, or failed while running it."""


class EnergyUnavailable(NeuromorphError):
    """A profile lacks a number that the estimate needs; nothing is guessed in its place."""


class SaturationError(NeuromorphError, ArithmeticError):
    """A strict integer run clipped or wrapped a state variable."""


class TrainingError(NeuromorphError, ValueError):
    """Training was asked for something impossible, or diverged."""


class DataError(NeuromorphError):
    """A data file is missing, damaged or cannot be fetched."""


class PluginError(NeuromorphError, RuntimeError):
    """Another package's entry point cannot be loaded, is not what it should be, or has a name that is taken."""
