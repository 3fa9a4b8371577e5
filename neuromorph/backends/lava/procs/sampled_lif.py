"""Lava's own LIF, arithmetic untouched, with zero state at the start of every sample and a port for v.

Dynamics, threshold, reset and spike messages run in the stock models `PyLifModelFloat` and `PyLifModelBitAcc`.
Protocol, resource and tags are inherited; `implements_process` is set in the class, for Lava's decorator refuses to name
another process for a subclass.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import numpy as np
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.proc.lif.models import PyLifModelBitAcc, PyLifModelFloat
from lava.proc.lif.process import LIF
from procs.common import SaturationCounter, decay


class SampledLIF(LIF):
    """LIF of `n` neurons with an output port for v as compared with the threshold (before the reset)."""

    def __init__(self, *, n, **arguments):
        super().__init__(shape=(n,), **arguments)
        self.v_out = OutPort(shape=(n,))


class AbstractSampledLIFModel(SaturationCounter):
    STATES = ("u", "v")

    def subthr_dynamics(self, activation_in):
        if self.first_step():
            self.clear()
            activation_in = np.zeros_like(activation_in)
        super().subthr_dynamics(activation_in)

    def reset_voltage(self, spike_vector):
        self.compared = self.v.copy()
        super().reset_voltage(spike_vector)

    def run_spk(self):
        super().run_spk()
        self.v_out.send(self.compared)
        self.report()


class SampledLIFFloatModel(AbstractSampledLIFModel, PyLifModelFloat):
    implements_process = SampledLIF
    v_out = LavaPyType(PyOutPort.VEC_DENSE, float)


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
    v_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
