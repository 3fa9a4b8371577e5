"""Plays spikes from a file: the arrays bool [n_steps, n] of one sample after the other, each read when its sample begins.

Lava's own source holds the spikes of all samples from the moment it is built, so that a live network could take no others.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from procs.common import PlayingModel


class FileSource(AbstractProcess):
    """`n` channels whose spikes lie in the file `path` (.npy) of each call."""

    def __init__(self, *, n, path):
        super().__init__(path=path)
        self.s_out = OutPort(shape=(n,))


@implements(proc=FileSource, protocol=LoihiProtocol)
@requires(CPU)
class FileSourceModel(PlayingModel):
    s_out = LavaPyType(PyOutPort.VEC_DENSE, bool)

    def run_spk(self):
        self.s_out.send(self.row())
