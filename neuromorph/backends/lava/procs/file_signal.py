"""Plays a signal from a file: the arrays [n_steps, 1 or n] of one sample after the other, each read when its sample begins."""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from procs.common import PlayingModel


class FileSignal(AbstractProcess):
    """Sends `n` numbers a step, all of them the same where the file has one; it lies at `path` (.npy) of each call."""

    def __init__(self, *, n, path):
        super().__init__(n=n, path=path)
        self.m_out = OutPort(shape=(n,))


class AbstractFileSignalModel(PlayingModel):
    def run_spk(self):
        self.m_out.send(np.broadcast_to(self.row(), (self.proc_params["n"],)))


@implements(proc=FileSignal, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FileSignalFloatModel(AbstractFileSignalModel):
    m_out = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=FileSignal, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FileSignalFixedModel(AbstractFileSignalModel):
    m_out = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
