"""What all forms of a recording share: its traces one after the other, what is told about it, times in seconds."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from neuromorph.errors import NeuromorphError
from neuromorph.extras import remedy
from neuromorph.recording import Recording
from neuromorph.shapes import Float64, Int32, Int64

SYNAPTIC = ("H", "E")  # variables of a plastic projection, one value a synapse


class Trace(NamedTuple):
    """`values` [n_steps, n_samples, n] of a `variable` ("y": readout, "v", "a", ...) of the population `place`; "H" and "E" are of the
    synapses of the plastic projection of that name.
    """

    place: str
    variable: str
    values: np.ndarray

    @property
    def kind(self) -> Literal["neuron", "synapse"]:
        return "synapse" if self.variable in SYNAPTIC else "neuron"


def traces(recording: Recording) -> Iterator[Trace]:
    """Readouts as variable "y", then states, in the recording's order."""
    for name, values in recording.readouts.items():
        yield Trace(name, "y", values)
    for name, states in recording.states.items():
        for variable, values in states.items():
            yield Trace(name, variable, values)


def facts(recording: Recording) -> dict[str, str | int | float]:
    """Backend, precision, graph digest, dt [s], samples, steps, and counts of saturations as "saturations.<population>.<variable>"."""
    saturations = {f"saturations.{name}": int(count) for name, count in recording.saturations.items()}
    return {
        "backend": recording.backend,
        "precision": recording.precision,
        "graph_digest": recording.graph_digest,
        "dt": float(recording.dt),
        "n_samples": int(recording.n_samples),
        "n_steps": int(recording.n_steps),
        **saturations,
    }


def seconds(steps: Int32[np.ndarray, " n"] | Int64[np.ndarray, " n"], dt: float) -> Float64[np.ndarray, " n"]:
    """Times of steps [s]: step times dt."""
    return steps.astype(np.float64) * dt


def missing(library: str, error: ImportError) -> NeuromorphError:
    """The error of a library that is not there."""
    return NeuromorphError(f"{library} cannot be imported ({error}); install it: {remedy(library)}")
