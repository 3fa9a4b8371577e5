"""Training with PyTorch and Norse, and export to graphs. The only package that imports torch."""

from neuromorph.train.export import export
from neuromorph.train.layers import LSNNRecurrent, LSNNRecurrentCell
from neuromorph.train.network import LSNN, LSNNConfig
from neuromorph.train.neurons import LSNNConstants, LSNNState, lsnn_step
from neuromorph.train.norse_export import export_norse
from neuromorph.train.readout import LeakyReadout
from neuromorph.train.surrogate import bellec, by_name

__all__ = [
    "LSNN",
    "LSNNConfig",
    "LSNNConstants",
    "LSNNRecurrent",
    "LSNNRecurrentCell",
    "LSNNState",
    "LeakyReadout",
    "bellec",
    "by_name",
    "export",
    "export_norse",
    "lsnn_step",
]
