"""Records what it receives inside its own operating-system process and saves it as .npy at the last step.

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
from procs.common import SampledModel


class FileSink(AbstractProcess):
    """Writes an array [n_total, n] of `dtype` to `path`, and one byte to the file `progress` after every sample."""

    def __init__(self, *, n, n_steps, n_total, dtype, path, progress):
        super().__init__(n=n, n_steps=n_steps, n_total=n_total, dtype=dtype, path=path, progress=progress)
        self.a_in = InPort(shape=(n,))


@implements(proc=FileSink, protocol=LoihiProtocol)
@requires(CPU)
class FileSinkModel(SampledModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int8)  # the narrowest: sums with the sender's type keep the sender's

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.buffer = np.zeros((proc_params["n_total"], proc_params["n"]), dtype=proc_params["dtype"])

    def run_spk(self):
        self.buffer[self.time_step - 1] = self.a_in.recv()
        if self.last_step():
            np.save(self.proc_params["path"], self.buffer)
        if self.time_step % self.proc_params["n_steps"] == 0:
            with open(self.proc_params["progress"], "ab") as file:
                file.write(b".")
