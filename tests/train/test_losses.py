"""Losses against numbers worked by hand."""

import math

import pytest
import torch

from neuromorph.errors import TrainingError
from neuromorph.train.losses import (
    frame_cross_entropy,
    mean_readout,
    overshoots,
    rate_regulariser,
    readout_cross_entropy,
    voltage_regulariser,
)


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


def test_voltage_regulariser_by_hand():
    """2 steps, 1 sample; neuron 0: theta 1, v 3 (2 above) and -1.5 (0.5 below -theta); neuron 1 stays within -2..2."""
    v = torch.tensor([[[3.0, 2.0]], [[-1.5, -2.0]]], dtype=torch.float64, requires_grad=True)
    theta = torch.tensor([[[1.0, 2.0]], [[1.0, 2.0]]], dtype=torch.float64, requires_grad=True)
    assert overshoots(v, theta).tolist() == [(4 + 0.25) / 2, 0]
    loss = voltage_regulariser(v, theta)
    assert loss.item() == (4 + 0.25) / 2
    loss.backward()
    assert v.grad is not None
    assert theta.grad is not None
    assert v.grad.flatten().tolist() == [2.0, 0, -0.5, 0]
    assert theta.grad.flatten().tolist() == [-2.0, 0, -0.5, 0]


def test_voltage_regulariser_by_finite_differences():
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64).mul(2).requires_grad_()
    theta = torch.rand(6, 3, 4, generator=generator, dtype=torch.float64).add(0.5).requires_grad_()
    assert torch.autograd.gradcheck(voltage_regulariser, (v, theta))


def test_frame_cross_entropy_by_hand():
    """Logits (0, ln 3): probabilities 1/4, 3/4; labels 1, 0 and, in a frame that does not count, a label out of range."""
    y = torch.tensor([0.0, math.log(3)], dtype=torch.float64).expand(3, 1, 2)
    labels = torch.tensor([[1], [0], [-7]])
    loss = frame_cross_entropy(y, labels, torch.tensor([[True], [True], [False]]))
    assert float(loss) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2, rel=1e-14)
    assert float(frame_cross_entropy(y[:1], labels[:1])) == pytest.approx(-math.log(3 / 4), rel=1e-14)


def test_padding_has_no_gradient():
    y = torch.randn(4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.tensor([[True, True], [True, False], [True, False], [False, False]])
    frame_cross_entropy(y, torch.zeros(4, 2, dtype=torch.int64), mask).backward()
    assert y.grad is not None
    assert (y.grad[mask] != 0).all()
    assert not y.grad[~mask].any()


def test_a_mask_without_frames():
    with pytest.raises(TrainingError, match="leaves no frame"):
        frame_cross_entropy(torch.zeros(2, 1, 3), torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.bool))
