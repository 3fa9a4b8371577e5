"""LIF and ALIF in every form of the graph: both resets, both adaptations, refractory period, per-neuron constants.

The operations and their order are those of the integer and float step of the reference simulator; `z`, `v` and `a` are
those of the step before when a step begins.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from procs.common import RecordingModel, decay

CONSTANTS = ("decay_v", "decay_u", "gain", "bias", "v_th", "v_reset", "n_ref", "decay_a", "kappa")
STATES = ("v", "u", "a", "theta", "z", "refractory")


class AdaptiveLIF(AbstractProcess):
    """`n` neurons; constants are arrays [n]. v is recorded as compared with the threshold."""

    def __init__(self, *, n, reset, adaptation, record, saturations, **constants):
        super().__init__(n=n, reset=reset, adaptation=adaptation, record=record, saturations=saturations)
        self.a_in = InPort(shape=(n,))
        self.s_out = OutPort(shape=(n,))
        for name in CONSTANTS:
            setattr(self, name, Var(shape=(n,), init=constants[name]))
        for name in STATES:
            setattr(self, name, Var(shape=(n,), init=0))


def variables(dtype):
    """Declare constants and states of a model, all of one type."""

    def declare(model):
        for name in CONSTANTS + STATES:
            setattr(model, name, LavaPyType(np.ndarray, dtype))
        return model

    return declare


class AbstractAdaptiveLIFModel(RecordingModel):
    """A model's `integrate(current)` advances u, a and v by one step and returns the threshold."""

    STATES = STATES

    def run_spk(self):
        current = self.a_in.recv()
        if self.first_step():
            self.clear()
            current = np.zeros_like(current)
        theta = self.integrate(current)
        self.theta[:] = theta
        self.z[:] = (self.v > theta) & (self.refractory == 0)
        self.refractory[:] = np.where(self.z, self.n_ref, np.maximum(self.refractory - 1, 0))
        self.s_out.send(self.z)
        self.keep(z=self.z, v=self.v, a=self.a)


@implements(proc=AdaptiveLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
@variables(float)
class AdaptiveLIFFloatModel(AbstractAdaptiveLIFModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, float)

    def integrate(self, current):
        self.u[:] = self.decay_u * self.u + current
        self.a[:] = self.decay_a * self.a + self.kappa * self.z
        theta, h = (self.v_th + self.a, 0.0) if self.proc_params["adaptation"] == "threshold" else (self.v_th, self.a)
        if self.proc_params["reset"] == "subtract":
            self.v[:] = self.decay_v * self.v + self.gain * self.u + self.bias - h - self.z * self.theta
        else:
            self.v[:] = self.decay_v * np.where(self.z, self.v_reset, self.v) + self.gain * self.u + self.bias - h
        return theta


@implements(proc=AdaptiveLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
@variables(np.int64)
class AdaptiveLIFFixedModel(AbstractAdaptiveLIFModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def integrate(self, current):
        self.u[:] = self.wrap(decay(self.u, self.decay_u) + (current.astype(np.int64) << 6))
        self.a[:] = self.clip("a", decay(self.a, self.decay_a) + self.z * self.kappa)
        theta = self.v_th << 6
        theta, h = (theta + self.a, 0) if self.proc_params["adaptation"] == "threshold" else (theta, self.a)
        if self.proc_params["reset"] == "subtract":
            v = decay(self.v, self.decay_v) + self.u + self.bias - h - self.z * self.theta
        else:
            v = decay(np.where(self.z, 0, self.v), self.decay_v) + self.u + self.bias - h
        self.v[:] = self.clip("v", v)
        return theta
