"""Neuromodulated plasticity trained by gradient (Backpropamine; Miconi et al. 2019, arXiv 2002.10585)."""

from neuromorph.train.plastic.core import PlasticCore
from neuromorph.train.plastic.episode import Episode
from neuromorph.train.plastic.lstm import PlasticLSTM
from neuromorph.train.plastic.rnn import PlasticRNN
from neuromorph.train.plastic.rules import Plasticity, update
from neuromorph.train.plastic.state import PlasticLSTMState, PlasticRNNState

__all__ = ["Episode", "PlasticCore", "PlasticLSTM", "PlasticLSTMState", "PlasticRNN", "PlasticRNNState", "Plasticity", "update"]
