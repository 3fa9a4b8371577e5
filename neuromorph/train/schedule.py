"""What is a pure function of the update number: the learning rate, which samples are seen, and what of their input."""

import math

import numpy as np

from neuromorph.shapes import Bool, Int64
from neuromorph.train.config import OptimizerConfig


def learning_factor(optimizer: OptimizerConfig, update: int, updates: int) -> float:
    """Factor on the learning rate of an update 0 .. updates - 1: a linear rise over `warm_up` updates times the schedule.

    "cosine": from 1 down to `cosine_floor`; "step": times `step_factor` every `step_every` updates (Bellec 2018: 0.8
    every 2500); "constant".
    """
    factor = 1.0
    if optimizer.schedule == "cosine":
        floor = optimizer.cosine_floor
        factor = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * update / updates))
    elif optimizer.schedule == "step":
        factor = optimizer.step_factor ** (update // optimizer.step_every)
    return min(1.0, (update + 1) / (optimizer.warm_up + 1)) * factor


def epoch_order(n_samples: int, seed: int, epoch: int) -> Int64[np.ndarray, " samples"]:
    """The order of all samples in an epoch (0, 1, ...), from nothing but seed and epoch, so that a resumed run has it again."""
    return np.random.default_rng([seed, epoch]).permutation(n_samples)


def kept_inputs(shape: tuple[int, int, int], dropout: float, seed: int, update: int) -> Bool[np.ndarray, "steps batch n_in"]:
    """Which input of the batch after `update` updates stays, from nothing but seed and `update`; the rest is put to 0."""
    return np.random.default_rng([seed, update, 1]).random(shape, dtype=np.float32) >= dropout
