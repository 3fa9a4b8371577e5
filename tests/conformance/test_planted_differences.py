"""Validation that cannot fail proves nothing: one unit changed on one side must be found, at its step and neuron."""

from typing import Any

import numpy as np
import pytest

from neuromorph.agreement import validate
from neuromorph.backends import backend
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.spikes import Spikes
from tests.conformance.conftest import Case

WEIGHT, DECAY, DELAY = "one weight unit", "one decay unit", "one delay step"


def network(precision: str, planted: str | None) -> Graph:
    """Input k drives neuron k alone; `planted` changes neuron 1, or its synapse.

    A unit is the chip's: 1 of an excitatory projection's 8-bit weights, 1/4096 of a decay factor; floats get the same share.
    """
    integer = precision == "integer"
    kind: Any = int if integer else float
    unit, whole, v_th = (1, 4096, 100) if integer else (1 / 80, 1.0, 100 / 80)
    weights = np.eye(3) * 60 * unit
    delays = np.ones((3, 3), dtype=np.int64)
    decay = np.full(3, whole / 2)
    if planted == WEIGHT:
        weights[1, 1] += unit
    if planted == DECAY:
        decay[1] += whole / 4096
    if planted == DELAY:
        delays[1, 1] += 1
    hidden = LIF.of("hidden", 3, decay_v=decay.astype(kind), v_th=v_th, gain=1, precision=precision)
    readout = LI.of("readout", 3, decay_v=kind(whole / 2), gain=1, precision=precision)
    drive = Projection.from_dense("input", "hidden", weights.astype(kind), delays=delays, signs=1)
    return Graph(1e-3, (Input("input", 3), hidden, readout), (drive, Projection.from_dense("hidden", "readout", np.eye(3, dtype=kind) * 2)))


def stimulus() -> Spikes:
    """Neuron 1 is driven in sample 1 alone, in every step from step 5 on; neuron 0 in both, in every third step."""
    dense = np.zeros((20, 2, 3), dtype=bool)
    dense[5:, 1, 1] = True
    dense[::3, :, 0] = True
    return Spikes.from_dense(dense, 1e-3)


def step_of(planted: str, precision: str) -> int:
    """By hand. The first spike of input 1, of step 5, arrives at step 6: there a weight shows, and a delay.

    A decay shows one step later in floats. In integers v is 60 << 6 = 3840 at step 6 and 3840 * 2048 >> 12 = 3840 * 2049 >> 12 = 1920
    of it are left at step 7; of the 5760 of that step 2880 or 2881 are left at step 8.
    """
    return {WEIGHT: 6, DELAY: 6, DECAY: 8 if precision == "integer" else 7}[planted]


@pytest.mark.parametrize("planted", [WEIGHT, DECAY, DELAY])
def test_a_planted_difference_is_found(case: Case, planted: str) -> None:
    good, bad = network(case.precision, None), network(case.precision, planted)
    run = backend(case.backend).run
    others = {"planted": lambda inputs: run(bad, inputs, states=["hidden", "readout"])}
    (comparison,) = validate(good, stimulus(), ["reference"], others=others).comparisons
    assert comparison.verdict == "DIFFERENT"
    first = comparison.first
    assert first is not None
    assert first.step == step_of(planted, case.precision)
    assert (first.sample, first.population, first.neuron, first.variable) == (1, "hidden", 1, "v")


def test_without_one_there_is_none(case: Case) -> None:
    assert case.compare(network(case.precision, None), stimulus()).identical
