"""Sparse synapses, each with its own delay of one step or more.

Lava's DelaySparse rebuilds a matrix of all delays in every step and leaks spikes in flight from sample to sample; here
they wait in a ring of [max_delay + 1, n_target]. It sends before it receives, so that cycles do not deadlock.
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
from procs.common import SampledModel, shifted


class DelayedSparse(AbstractProcess):
    """CSR by source neuron (`indptr` [n_source + 1]); `weight_exp` shifts the sum that arrives in one step."""

    def __init__(self, *, n_source, n_target, indptr, indices, weights, delays, weight_exp):
        super().__init__(weight_exp=weight_exp)
        self.s_in = InPort(shape=(n_source,))
        self.a_out = OutPort(shape=(n_target,))
        self.indptr = Var(shape=indptr.shape, init=indptr)
        self.indices = Var(shape=indices.shape, init=indices)
        self.weights = Var(shape=weights.shape, init=weights)
        self.delays = Var(shape=delays.shape, init=delays)
        self.ring = Var(shape=(int(delays.max()) + 1, n_target), init=0)


class AbstractDelayedSparseModel(SampledModel):
    STATES = ("ring",)
    s_in = LavaPyType(PyInPort.VEC_DENSE, bool, precision=1)
    indptr = indices = delays = LavaPyType(np.ndarray, np.int64)

    def scaled(self, arrived):
        """What the sum that arrives in one step counts for."""
        return arrived

    def run_spk(self):
        if self.first_step():
            self.clear()
        depth, n_target = self.ring.shape
        slot = self.time_step % depth
        self.a_out.send(self.scaled(self.ring[slot].copy()))
        self.ring[slot] = 0
        fired = np.flatnonzero(self.s_in.recv())
        if len(fired):
            synapse = np.concatenate([np.arange(self.indptr[i], self.indptr[i + 1]) for i in fired])
            place = (self.time_step + self.delays[synapse]) % depth * n_target + self.indices[synapse]
            np.add.at(self.ring.reshape(-1), place, self.weights[synapse])


@implements(proc=DelayedSparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class DelayedSparseFloatModel(AbstractDelayedSparseModel):
    a_out = LavaPyType(PyOutPort.VEC_DENSE, float)
    weights = ring = LavaPyType(np.ndarray, float)


@implements(proc=DelayedSparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DelayedSparseFixedModel(AbstractDelayedSparseModel):
    a_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    weights = ring = LavaPyType(np.ndarray, np.int64)

    def scaled(self, arrived):
        return shifted(arrived, self.proc_params["weight_exp"])
