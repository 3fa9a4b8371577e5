"""Third factors that are given as data, as a Brian2 group whose values follow a timed array."""

from typing import Any

import numpy as np

BOUND = 2**15
"""Beyond every limit of an integer rule's third factor: integers are cut here, so that floats and 32 bits hold them."""


class Signal:
    """One signal for all replicas: `group` holds its value `m` of the step, `width` (1 or one for each target neuron) a replica.

    `values`: the timed array of every step.
    """

    def __init__(self, b2: Any, clock: Any, place: int, width: int, n_samples: int, n_steps: int, integer: bool) -> None:
        self.width, self.n_samples, self.integer = width, n_samples, integer
        name = f"values_{place}"
        self.values = b2.TimedArray(np.zeros((n_steps, n_samples * width)), dt=clock.dt, name=name)
        self.group = b2.NeuronGroup(
            n_samples * width,
            f"m : {'integer' if integer else '1'}",
            dtype={"m": np.dtype(np.int64 if integer else np.float64)},
            namespace={name: self.values},
            clock=clock,
            name=f"signal_{place}",
        )
        value = f"{name}(t, i)"
        code = f"m = int({value})" if integer else f"m = {value}"
        self.group.run_regularly(code, when="groups", clock=clock, name=f"follow_{place}")

    def filled(self, given: np.ndarray) -> np.ndarray:
        """A batch [n_steps, n_samples, width] as the timed array wants it, replicas without a sample at 0."""
        n_steps, n_samples, width = given.shape
        values = np.zeros((n_steps, self.n_samples, width))
        values[:, :n_samples] = np.clip(given, -BOUND, BOUND) if self.integer else given
        return values.reshape(n_steps, -1)
