"""Leaky integrator that never spikes: u = decay_u u + I, v = decay_v v + gain u + bias."""

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


class Readout(AbstractProcess):
    """`n` integrators; constants are arrays [n]. `v_out` tells v as a third factor of plastic synapses."""

    def __init__(self, *, n, decay_v, decay_u, gain, bias, record, saturations):
        super().__init__(n=n, record=record, saturations=saturations)
        self.a_in = InPort(shape=(n,))
        self.v_out = OutPort(shape=(n,))
        self.decay_v = Var(shape=(n,), init=decay_v)
        self.decay_u = Var(shape=(n,), init=decay_u)
        self.gain = Var(shape=(n,), init=gain)
        self.bias = Var(shape=(n,), init=bias)
        self.u = Var(shape=(n,), init=0)
        self.v = Var(shape=(n,), init=0)


class AbstractReadoutModel(RecordingModel):
    """A model's `integrate(current)` advances u and v by one step."""

    STATES = ("u", "v")

    def run_spk(self):
        current = self.a_in.recv()
        if self.first_step():
            self.clear()
            current = np.zeros_like(current)
        self.integrate(current)
        self.v_out.send(self.v)
        self.keep(v=self.v)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ReadoutFloatModel(AbstractReadoutModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, float)
    v_out = LavaPyType(PyOutPort.VEC_DENSE, float)
    decay_v = decay_u = gain = bias = u = v = LavaPyType(np.ndarray, float)

    def integrate(self, current):
        self.u[:] = self.decay_u * self.u + current
        self.v[:] = self.decay_v * self.v + self.gain * self.u + self.bias


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutFixedModel(AbstractReadoutModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    v_out = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    decay_v = decay_u = gain = bias = u = v = LavaPyType(np.ndarray, np.int64)

    def integrate(self, current):
        self.u[:] = self.wrap(decay(self.u, self.decay_u) + (current.astype(np.int64) << 6))
        self.v[:] = self.clip("v", decay(self.v, self.decay_v) + self.u + self.bias)
