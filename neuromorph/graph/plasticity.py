"""Three-factor plasticity of a projection, as data: traces, eligibility, third factor. Never code.

A plastic synapse has, beside its fixed weight w, a plastic part H and an eligibility E, both 0 at the start of a sample. At step t, with
the spikes z as the projection receives them (those sent one step before) and those of its target of this step:

    1  weight of a spike that arrives   w + alpha * H                                H as step t - 1 left it
    2  p_i = decay_pre * p_i + z_i[t-1]                                              presynaptic trace
    3  q_j = s_j - post_offset,  s_j = decay_post * s_j + z_j[t]                     postsynaptic spike (decay_post 0) or trace
    4  M_j = third factor of step t, clipped to +-third_limit
    5  hebbian      H = clip(H + eta * q_j * p_i)
       modulated    H = clip(H + M_j * q_j * p_i)
       retroactive  H = clip(H + M_j * E) with the old E;  then  E = (1 - eta) * E + eta * q_j * p_i

Backpropamine (Miconi et al. 2019, arXiv:2002.10585, equations 2 to 5) made spiking: activations are traces and spikes. The third factor is
a signal given as data, or the readout (LI) of that name: its y of the same step.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from neuromorph.graph.populations import read_only
from neuromorph.shapes import Float64, Int64

PlasticityRule: TypeAlias = Literal["hebbian", "modulated", "retroactive"]
Rounding: TypeAlias = Literal["nearest", "stochastic"]

RULES: tuple[PlasticityRule, ...] = ("hebbian", "modulated", "retroactive")
ROUNDINGS: tuple[Rounding, ...] = ("nearest", "stochastic")


@dataclass(frozen=True)
class FixedPoint:
    """How integers stand for the numbers of a rule; `>>` of a sum rounds by `rounding`, see `rounded`.

        weight   (sum of w) << weight_exp  +  (sum of alpha * H) << alpha_exp        (>> floor where negative), for what arrives
        p        min((p * decay_pre >> 12) + z * pre_step, trace_max);   s likewise with post_step;   q = s - post_offset
        M        clip to +-third_limit; of a readout: y >> third_shift (floor) first
        change   hebbian eta * q * p,  modulated M * q * p,  retroactive M * E:   H = clip(H + (change >> change_shift), +-clip)
        E        clip(((4096 - eta) * E + (eta * q * p << eligibility_shift)) >> 12, +-eligibility_max)

    Decays and eta count 1/4096. `seed`: of stochastic rounding.
    """

    alpha_exp: int
    pre_step: int
    post_step: int
    trace_max: int
    third_shift: int
    change_shift: int
    eligibility_shift: int
    eligibility_max: int
    rounding: Rounding = "nearest"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Plasticity:
    """The rule of one projection; the equations are those of this module. `alpha` [n_synapses].

    Float graphs: float64 `alpha`, per-step factors `decay_pre`, `decay_post` in [0, 1), `eta` in [0, 1]. Integer graphs: int64 `alpha` of 8
    bits, whole numbers everywhere, and `fixed`, which says what they stand for. `third_factor`: name of the signal or readout; "" for the
    hebbian rule, which has none.
    """

    rule: PlasticityRule
    alpha: Float64[np.ndarray, " synapses"] | Int64[np.ndarray, " synapses"]
    eta: float | int
    decay_pre: float | int
    clip: float | int
    third_factor: str = ""
    third_limit: float | int = 1.0
    decay_post: float | int = 0.0
    post_offset: float | int = 0.0
    fixed: FixedPoint | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", read_only(self.alpha))


NUMBERS = ("eta", "decay_pre", "decay_post", "post_offset", "third_limit", "clip")


def rounded(x: np.ndarray, shift: int, fixed: FixedPoint, draw: int, step: int, sample: np.ndarray, synapse: np.ndarray) -> np.ndarray:
    """x / 2^shift as a whole number: to the nearest (halves up), or up with the probability of the fraction.

    The random number of a rounding is a hash of seed, sample, step, synapse and `draw` (0: H, 1: E), so that every simulator finds the
    same one. `sample`, `synapse` broadcast with x.
    """
    if shift <= 0:
        return x << -shift
    if fixed.rounding == "nearest":
        return (x + (1 << (shift - 1))) >> shift
    return (x + random_bits(shift, fixed.seed, draw, step, sample, synapse)) >> shift


def random_bits(bits: int, seed: int, draw: int, step: int, sample: np.ndarray, synapse: np.ndarray) -> np.ndarray:
    """Whole numbers of so many bits (at most 32): sums of the arguments times odd constants, mixed by shifts and multiplications."""
    mask = 0xFFFFFFFF
    start = (seed * 0x9E3779B1 + step * 0xC2B2AE3D + draw * 0x165667B1) & mask
    x = (start + np.asarray(sample, np.int64) * 0x85EBCA77 + np.asarray(synapse, np.int64) * 0x27D4EB2F) & mask
    x = ((x ^ (x >> 15)) * 0x2C1B3C6D) & mask
    x = ((x ^ (x >> 12)) * 0x297A2D39) & mask
    return (x ^ (x >> 15)) >> (32 - bits)
