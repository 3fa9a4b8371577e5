"""Acting step by step is the network that `LSNN.frames` computes."""

from dataclasses import replace

import pytest
import torch

from neuromorph.errors import TrainingError
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.stepping import Stepper

PLAIN = LSNNConfig(10, 4, 8, tau_a=(20e-3, 300e-3), tau_out=8e-3)
FORMS = {
    "plain": PLAIN,
    "delays": replace(PLAIN, max_input_delay=4, max_recurrent_delay=3, max_readout_delay=5),
    "readout delays": replace(PLAIN, max_readout_delay=3),
    "two layers": replace(PLAIN, n_layers=2, max_recurrent_delay=2),
    "to value, current": replace(PLAIN, reset="to_value", adaptation="current", beta=0.5),
    "learned": replace(PLAIN, learned=("tau_m", "tau_a")),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", FORMS)
def test_replayed_inputs_give_the_same_readouts(name: str, compiled: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    model = LSNN(FORMS[name], 12, 3, generator=generator, dtype=torch.float64, compiled=compiled)
    x = torch.rand(60, 5, 12, generator=generator) < 0.1
    stepper = Stepper(model, 5)
    found = torch.cat([stepper.run(part) for part in x.split((1, 7, 2, 50))])
    frames = model.frames(x)
    assert float(frames.rates.detach().mean()) > 0.005, "it is active"
    assert float((found - frames.y.detach()).abs().max()) < 1e-10
    assert not found.requires_grad


def test_no_bidirectional_network() -> None:
    model = LSNN(replace(PLAIN, bidirectional=True), 3, 2, generator=torch.Generator())
    with pytest.raises(TrainingError, match="bidirectional"):
        Stepper(model, 1)
