"""Plastic synapses: three-factor rules, operation for operation those of the reference simulator.

Within a step it first sends what arrives at the target, with the weights as the last step left them, and only then waits for the
spikes of the target and the third factor of this step: the other way round the loop through the target would wait for ever.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from procs.common import RecordingModel, rounded, shifted


class PlasticSparse(AbstractProcess):
    """`n` synapses with a delay of one step; `rows`, `indices`: source and target neuron of each. H and E can be recorded.

    `rule`, `fixed`: the numbers of the graph's Plasticity and FixedPoint. `signal`: file of the third factor, whose width a call tells.
    """

    def __init__(self, *, n_source, n_target, n_third, **params):
        super().__init__(n_source=n_source, n_target=n_target, **params)
        self.s_in = InPort(shape=(n_source,))
        self.s_in_bap = InPort(shape=(n_target,))
        self.third_in = InPort(shape=(n_third,))
        self.a_out = OutPort(shape=(n_target,))


class AbstractPlasticModel(RecordingModel):
    """A model has `read_third()`, `arriving()`, `advance(spikes)`, which moves traces and gives p and q, and `change(m, product)`, which
    moves E and gives what is added to H.
    """

    STATES = ("fired", "pre", "post", "H", "E")
    s_in = s_in_bap = LavaPyType(PyInPort.VEC_DENSE, bool, precision=1)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.rows, self.indices, self.weights, self.alpha = (proc_params[x] for x in ("rows", "indices", "weights", "alpha"))
        self.rule, self.fixed, self.signal = (proc_params[x] for x in ("rule", "fixed", "signal"))
        self.pre, self.post = (np.zeros(proc_params[x], self.weights.dtype) for x in ("n_source", "n_target"))
        self.H, self.E = np.zeros_like(self.weights), np.zeros_like(self.weights)
        self.fired = np.zeros(self.pre.shape, bool)

    def run_spk(self):
        if self.first_step():
            self.clear()
        self.a_out.send(self.arriving())
        fired, spikes = self.s_in.recv() != 0, self.s_in_bap.recv() != 0
        pre, post = self.advance(spikes)
        change = self.change(self.third(), post[self.indices] * pre[self.rows])
        self.H[:] = np.clip(self.H + change, -self.rule["clip"], self.rule["clip"])
        self.fired[:] = fired
        self.keep(H=self.H, E=self.E)

    def third(self):
        """The third factor of each synapse, clipped; a signal of one value for all is told by its width."""
        if self.rule["rule"] == "hebbian":
            return 0
        third = self.read_third()
        third = third[: self.call["widths"][self.signal]] if self.signal else third
        limit = self.rule["third_limit"]
        if self.fixed:
            self.count("M", np.abs(third) > limit)
        m = np.clip(third, -limit, limit)
        return m[self.indices] if len(m) > 1 else m

    def summed(self, values):
        """Values of the synapses whose source fired, added one after the other in the order of the synapses."""
        total = np.zeros_like(self.post)
        synapse = np.flatnonzero(self.fired[self.rows])
        np.add.at(total, self.indices[synapse], values[synapse])
        return total


@implements(proc=PlasticSparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PlasticFloatModel(AbstractPlasticModel):
    third_in = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out = LavaPyType(PyOutPort.VEC_DENSE, float)

    def read_third(self):
        return self.third_in.recv()

    def arriving(self):
        return self.summed(self.weights + self.alpha * self.H)

    def advance(self, spikes):
        self.pre[:] = self.rule["decay_pre"] * self.pre + self.fired
        self.post[:] = self.rule["decay_post"] * self.post + spikes
        return self.pre, self.post - self.rule["post_offset"]

    def change(self, m, product):
        eta = self.rule["eta"]
        if self.rule["rule"] != "retroactive":
            return (eta if self.rule["rule"] == "hebbian" else m) * product
        change = m * self.E
        self.E[:] = (1 - eta) * self.E + eta * product
        return change


@implements(proc=PlasticSparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PlasticFixedModel(AbstractPlasticModel):
    third_in = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    a_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def read_third(self):
        return self.third_in.recv() >> self.fixed["third_shift"]

    def arriving(self):
        fixed_part = shifted(self.summed(self.weights), self.proc_params["weight_exp"])
        return fixed_part + shifted(self.summed(self.alpha * self.H), self.fixed["alpha_exp"])

    def advance(self, spikes):
        pre = (self.pre * self.rule["decay_pre"] >> 12) + self.fired * self.fixed["pre_step"]
        post = (self.post * self.rule["decay_post"] >> 12) + spikes * self.fixed["post_step"]
        self.pre[:] = self.saturate("pre", pre, self.fixed["trace_max"])
        self.post[:] = self.saturate("post", post, self.fixed["trace_max"])
        return self.pre, self.post - self.rule["post_offset"]

    def change(self, m, product):
        eta = self.rule["eta"]
        if self.rule["rule"] != "retroactive":
            return self.rounded((eta if self.rule["rule"] == "hebbian" else m) * product, self.fixed["change_shift"], 0)
        change = m * self.E
        kept = (4096 - eta) * self.E + (eta * product << self.fixed["eligibility_shift"])
        self.E[:] = self.saturate("E", self.rounded(kept, 12, 1), self.fixed["eligibility_max"])
        return self.rounded(change, self.fixed["change_shift"], 0)

    def rounded(self, x, shift, draw):
        return rounded(x, shift, self.fixed, draw, self.step(), self.sample())

    def saturate(self, name, x, most):
        self.count(name, np.abs(x) > most)
        return np.clip(x, -most, most)
