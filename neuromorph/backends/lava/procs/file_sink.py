"""Records what it receives inside its own operating-system process, for processes of Lava that keep no record themselves.

Lava's sink and Monitor hand values out one element per message, which takes longer than the run (25-60 us each).
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false, reportOptionalSubscript=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from procs.common import RecordingModel


class FileSink(AbstractProcess):
    """Takes `n` spikes a step as the variable "z" of its record."""

    def __init__(self, *, n, record, saturations):
        super().__init__(n=n, record=record, saturations=saturations)
        self.a_in = InPort(shape=(n,))


@implements(proc=FileSink, protocol=LoihiProtocol)
@requires(CPU)
class FileSinkModel(RecordingModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self.first_step()
        self.keep(z=self.a_in.recv())
