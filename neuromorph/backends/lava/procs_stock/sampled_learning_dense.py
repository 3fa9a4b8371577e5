"""Lava's three-factor learning engine, arithmetic untouched, with zero state at the start of every sample and a record.

Traces, products, shifts, rounding and clipping run in the stock models of `LearningDense` for fixed point. Ours are the times: the sum
that arrives at the target counts the weights as the last step left them (stock: those of one step before), and the presynaptic trace takes
spikes as they arrive (stock: as they are sent, so that a spike of the target would count those that had not reached it).
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# pyright: reportOptionalMemberAccess=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import numpy as np
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.proc.dense.models import PyLearningDenseModelBitApproximate
from lava.proc.dense.process import LearningDense
from lava.utils.weightutils import SignMode
from procs.common import RecordingModel, shifted


class SampledLearningDense(LearningDense):
    """`n` synapses, `rows` and `indices` as `procs.plastic_sparse.PlasticSparse`; weights stand for H, tags for E.

    `rule`: the numbers of `neuromorph.backends.lava.learning_rule.LoihiRule`, and the seed of the traces' rounding. H and E are recorded as
    the graph's whole numbers next to what weights and tags stand for.
    """

    def __init__(self, *, n_source, n_target, n_third, rule, **params):
        traces = {name: rule[name] for name in ("x1_impulse", "x1_tau")}
        learning_rule = Loihi3FLearningRule(dw=rule["dw"], dt=rule["dt"] or None, t_epoch=1, rng_seed=rule["seed"], **traces)
        weights = np.zeros((n_target, n_source))
        super().__init__(weights=weights, learning_rule=learning_rule, sign_mode=SignMode.MIXED, rule=rule, **params)
        self.third_in = InPort(shape=(n_third,))


class SampledLearningDenseModel(RecordingModel, PyLearningDenseModelBitApproximate):
    implements_process = SampledLearningDense
    STATES = ("weights", "tag_1", "x0", "tx", "x1", "x2", "y0", "ty", "y1", "y2", "y3", "arrived")
    third_in = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.rule, self.signal, self.synapses = proc_params["rule"], proc_params["signal"], (proc_params["indices"], proc_params["rows"])
        self.exists = np.zeros(self._shape, bool)
        self.exists[self.synapses] = True
        self.arrived = np.zeros(self._shape[1], bool)

    def run_spk(self):
        if self.first_step():
            self.clear()
            self._init_randoms()
        self.a_out.send(shifted(self.weights[:, self.arrived].sum(axis=1), self.proc_params["weight_exp"]))
        sent = self.s_in.recv().astype(bool)
        self.recv_traces(self.arrived)
        self.arrived[:] = sent
        if self.rule["third_trace"]:
            getattr(self, self.rule["third_trace"])[:] = self.third() + self.rule["third_zero"]

    def third(self):
        """The third factor of each target neuron in the units of its trace; a signal of one value for all is told by its width."""
        third = self.third_in.recv() >> self.rule["third_shift"]
        third = third[: self.call["widths"][self.signal]] if self.signal else third
        third = np.clip(third, -self.rule["third_limit"], self.rule["third_limit"])
        return third if len(third) == 1 else third[: self._shape[0]]

    def run_lrn(self):
        super().run_lrn()
        for name in ("weights", "tag_1"):
            setattr(self, name, getattr(self, name) * self.exists)
        h, e = self.weights[self.synapses] * self.rule["h_unit"], self.tag_1[self.synapses] * self.rule["e_unit"]
        self.keep(H=np.rint(h), E=np.rint(e))
