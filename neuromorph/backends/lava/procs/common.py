"""What the process models of this folder share: fixed-point arithmetic, and the beginning and end of samples."""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import json

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel

STATE_MAX = 2**23 - 1


def decay(x, factor):
    """x * factor / 4096 in integers, rounded toward zero."""
    return np.sign(x) * ((np.abs(x) * factor) >> 12)


class SampledModel(PyLoihiProcessModel):
    """A model that starts every sample of a long run from zero state; Lava's step k (from 1) is step (k - 1) % n_steps."""

    STATES = ()

    def first_step(self):
        """Whether a sample begins with this step."""
        return (self.time_step - 1) % self.proc_params["n_steps"] == 0

    def last_step(self):
        """Whether the whole run ends with this step."""
        return self.time_step == self.proc_params["n_total"]

    def clear(self):
        for name in self.STATES:
            getattr(self, name)[:] = 0


class SaturationCounter(SampledModel):
    """Counts wrapped and clipped state variables and writes them to a file at the last step."""

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.saturations = {}

    def wrap(self, u):
        """One turn around (-2^23, 2^23], as Lava's LIF."""
        high, low = u > 2**23, u <= -(2**23)
        self.count("u", high | low)
        return np.where(high, u - 2**24, np.where(low, u + 2**24, u))

    def clip(self, name, x):
        self.count(name, np.abs(x) > STATE_MAX)
        return np.clip(x, -STATE_MAX, STATE_MAX)

    def count(self, name, where):
        number = int(np.count_nonzero(where))
        if number:
            self.saturations[name] = self.saturations.get(name, 0) + number

    def report(self):
        """Write the counts, once, when the run ends."""
        if self.last_step():
            with open(self.proc_params["saturations"], "w") as file:
                json.dump(self.saturations, file)
