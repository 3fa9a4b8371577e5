"""Losses against numbers worked by hand."""

import math

import pytest
import torch

from neuromorph.errors import TrainingError
from neuromorph.train.losses import mean_readout, rate_regulariser, readout_cross_entropy


def test_mean_of_the_last_steps():
    y = torch.tensor([[[9.0, 9.0]], [[1.0, 2.0]], [[3.0, 6.0]]])
    assert mean_readout(y, 2).tolist() == [[2.0, 4.0]]
    assert mean_readout(y, 1).tolist() == [[3.0, 6.0]]


def test_cross_entropy_by_hand():
    """Mean readouts (0, ln 3) and (ln 3, 0), both of class 1: probabilities 3/4 and 1/4."""
    y = torch.zeros(4, 2, 2, dtype=torch.float64)
    y[2:, 0, 1] = y[2:, 1, 0] = math.log(3)
    loss = readout_cross_entropy(y, torch.tensor([1, 1]), 2)
    assert float(loss) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2, rel=1e-14)


@pytest.mark.parametrize("window", [0, 4, -1])
def test_window_outside_the_run(window):
    with pytest.raises(TrainingError, match=r"allowed 1\.\.3"):
        mean_readout(torch.zeros(3, 1, 2), window)


def test_rate_regulariser_by_hand():
    """10 steps of 2 ms, 2 samples: neuron 0 fires 4 times in 20, neuron 1 never; target 50 Hz = 0.1 a step."""
    z = torch.zeros(10, 2, 2, dtype=torch.float64)
    z[:4, 0, 0] = 1
    assert float(rate_regulariser(z, 50.0, 2e-3)) == pytest.approx(0.1**2 + 0.1**2, rel=1e-14)


def test_rate_gradient_pushes_towards_the_target():
    z = torch.zeros(10, 2, 2, dtype=torch.float64)
    z[:4, 0, 0] = 1
    z.requires_grad_()
    rate_regulariser(z, 50.0, 2e-3).backward()
    assert z.grad is not None
    assert torch.allclose(z.grad[..., 0], torch.full((10, 2), 2 * 0.1 / 20, dtype=torch.float64))
    assert torch.allclose(z.grad[..., 1], torch.full((10, 2), -2 * 0.1 / 20, dtype=torch.float64))
