"""Recordings of any shape: silent populations, no readouts, no samples, no steps, integers beyond 2^53, plastic projections."""

import numpy as np
from hypothesis import strategies as st

from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.strategies import _same_global_state

DTS = (1e-3, 5e-4, 0.7e-3, 0.1)


def random_recording(seed: int, *, n_samples: int = 3, n_steps: int = 40, precision: str = "float", rate: float = 0.2) -> Recording:
    """Populations "hidden" (4), "silent" (2), "one" (1); readout "out" (3); states, those of a plastic projection too."""
    rng = np.random.default_rng(seed)
    dt = float(rng.choice(DTS))

    def dense(n: int, share: float) -> Spikes:
        return Spikes.from_dense(rng.random((n_steps, n_samples, n)) < share, dt)

    def trace(n: int) -> np.ndarray:
        shape = n_steps, n_samples, n
        return rng.normal(size=shape) if precision == "float" else rng.integers(-(2**62), 2**62, shape)

    return Recording(
        backend="reference",
        precision=precision,
        graph_digest="0" * 64,
        dt=dt,
        n_samples=n_samples,
        n_steps=n_steps,
        spikes={"hidden": dense(4, rate), "silent": dense(2, 0.0), "one": dense(1, rate)},
        readouts={"out": trace(3)},
        states={"hidden": {"v": trace(4), "a": trace(4)}, "out": {"v": trace(3)}, "hidden->one": {"H": trace(5), "E": trace(5)}},
        saturations={"hidden.v": 3} if precision == "integer" else {},
    )


def bare_recording() -> Recording:
    """Nothing recorded: no populations, readouts or states."""
    return Recording("reference", "integer", "0" * 64, 1e-3, 2, 5, {}, {})


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """`random_recording` of all shapes and precisions, parts of it left out."""
    shape = {"n_samples": draw(st.integers(0, 3)), "n_steps": draw(st.integers(0, 60))}
    choices = {"precision": draw(st.sampled_from(["float", "integer"])), "rate": draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))}
    seed = draw(st.integers(0, 2**32 - 1))
    with _same_global_state():
        found = random_recording(seed, **shape, **choices)
    left_out = {name: {} for name in draw(st.sets(st.sampled_from(["spikes", "readouts", "states", "saturations"])))}
    return Recording(**{**vars(found), **left_out})
