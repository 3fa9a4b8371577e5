"""Lava's own LIF, arithmetic untouched, with zero state at the start of every sample and a record.

Dynamics, threshold, reset and spike messages run in the stock models `PyLifModelFloat` and `PyLifModelBitAcc`.
Protocol, resource and tags are inherited; `implements_process` is set in the class, for Lava's decorator refuses to name
another process for a subclass.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import numpy as np
from lava.proc.lif.models import PyLifModelBitAcc, PyLifModelFloat
from lava.proc.lif.process import LIF
from procs.common import RecordingModel, decay


class SampledLIF(LIF):
    """LIF of `n` neurons; v is recorded as compared with the threshold (before the reset)."""

    def __init__(self, *, n, **arguments):
        super().__init__(shape=(n,), n=n, **arguments)


class AbstractSampledLIFModel(RecordingModel):
    STATES = ("u", "v")

    def subthr_dynamics(self, activation_in):
        if self.first_step():
            self.clear()
            activation_in = np.zeros_like(activation_in)
        super().subthr_dynamics(activation_in)

    def reset_voltage(self, spike_vector):
        self.keep(z=spike_vector, v=self.v)
        super().reset_voltage(spike_vector)


class SampledLIFFloatModel(AbstractSampledLIFModel, PyLifModelFloat):
    implements_process = SampledLIF


class CountingBitAccModel(PyLifModelBitAcc):
    """The stock step, and beside it the same step without bounds: where they differ something was wrapped or clipped."""

    def subthr_dynamics(self, activation_in):
        u = decay(self.u.astype(np.int64), 4095 - self.du) + (activation_in.astype(np.int64) << 6)
        v = decay(self.v.astype(np.int64), 4096 - self.dv) + self.effective_bias
        super().subthr_dynamics(activation_in)
        self.count("u", u != self.u)
        self.count("v", v + self.u != self.v)


class SampledLIFFixedModel(AbstractSampledLIFModel, CountingBitAccModel):
    implements_process = SampledLIF
