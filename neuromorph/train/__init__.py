"""Training with PyTorch and Norse, and export to graphs. With `neuromorph.neurobench` the only part that imports torch."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # norse 1.1.0 uses torch.jit, which torch deprecates loudly
    import norse.torch as _norse  # noqa: F401

from neuromorph.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.deep_r import DeepR, allowed_synapses, draw_masks
from neuromorph.train.evaluate import Evaluation, evaluate
from neuromorph.train.export import export
from neuromorph.train.interrupts import TrainingInterrupted
from neuromorph.train.layers import LSNNRecurrent, LSNNRecurrentCell
from neuromorph.train.loop import TrainResult, resume, train
from neuromorph.train.network import LSNN, LSNNConfig
from neuromorph.train.neurons import LSNNConstants, LSNNState, lsnn_step
from neuromorph.train.norse_export import export_norse
from neuromorph.train.readout import LeakyReadout
from neuromorph.train.record import record
from neuromorph.train.sparse_deep_r import SparseDeepR
from neuromorph.train.sparse_network import SparseLSNN
from neuromorph.train.surrogate import bellec, by_name

__all__ = [
    "LSNN",
    "Checkpoint",
    "DeepR",
    "Evaluation",
    "LSNNConfig",
    "LSNNConstants",
    "LSNNRecurrent",
    "LSNNRecurrentCell",
    "LSNNState",
    "LeakyReadout",
    "SparseDeepR",
    "SparseLSNN",
    "TrainConfig",
    "TrainResult",
    "TrainingInterrupted",
    "allowed_synapses",
    "bellec",
    "by_name",
    "draw_masks",
    "evaluate",
    "export",
    "export_norse",
    "load_checkpoint",
    "lsnn_step",
    "record",
    "resume",
    "save_checkpoint",
    "train",
]
