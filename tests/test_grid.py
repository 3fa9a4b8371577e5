"""Grids: the same integers again from what a graph carries, every mistake told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import QuantizationError
from neuromorph.graph import ALIF, LIF, Graph, Input, Projection
from neuromorph.graph.populations import replace
from neuromorph.grid import METADATA, Grid, dequantize
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize, quantize_population
from tests.strategies import graphs

LOIHI1, LOIHI2 = load_profile("loihi1"), load_profile("loihi2")


def resetting_to_zero(graph: Graph) -> Graph:
    changed = tuple(replace(p, v_reset=np.zeros(p.n)) if isinstance(p, LIF) else p for p in graph.populations)
    return graph.replace(populations=changed)


@settings(max_examples=8, deadline=None)
@given(graph=graphs())
def test_the_grid_of_integers_gives_them_again(graph: Graph) -> None:
    """Given or carried; another chip's grid is not taken."""
    graph = resetting_to_zero(graph)
    integer, _ = quantize(graph, LOIHI2)
    grid = Grid.of(integer)
    given_again, _ = quantize(graph, LOIHI2, grid)
    assert given_again == integer
    carrying = graph.replace(metadata={**graph.metadata, **grid.to_metadata(LOIHI2.id)})
    assert Grid.carried_by(carrying, LOIHI2.id) == grid
    assert Grid.carried_by(carrying, LOIHI1.id) == Grid()
    carried, _ = quantize(carrying, LOIHI2)
    for a, b in zip(carried.projections, integer.projections):
        assert np.array_equal(a.weights, b.weights)
        assert a.weight_exp == b.weight_exp


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), octave=st.integers(-3, 3))
def test_dequantised_constants_are_on_the_grid(seed: int, octave: int) -> None:
    """They quantise to the same integers; and they are the integers in their units."""
    rng = np.random.default_rng(seed)
    p = ALIF.of(
        "p", 5, decay_v=rng.uniform(0, 0.999, 5), v_th=rng.uniform(0.5, 2, 5), decay_a=rng.uniform(0.5, 1 - 1e-6, 5),
        kappa=rng.uniform(0, 0.5, 5), bias=rng.normal(size=5) * 0.01,
    )  # fmt: skip
    scale = float(rng.uniform(1e5, 2e5) * 2.0**octave)
    integer = quantize_population(p, scale, LOIHI2)
    floats = dequantize(integer, p, scale)
    assert isinstance(floats, ALIF)
    assert isinstance(integer, ALIF)
    assert floats.v_th * scale == pytest.approx(64 * integer.v_th)
    assert (floats.decay_a * 4096 == integer.decay_a).all()
    again = quantize_population(floats, scale, LOIHI2)
    for name in p.PARAMETERS:
        assert np.array_equal(getattr(again, name), getattr(integer, name)), name


def test_no_decay_stays_none() -> None:
    p = LIF.of("p", 1, decay_v=0.0, v_th=1.0)
    assert dequantize(quantize_population(p, 1000.0, LOIHI2), p, 1000.0).decay_v[0] == 0


GRAPH = Graph(1e-3, (Input("in", 1), LIF.of("p", 1, decay_v=0.9, v_th=1.0)), (Projection.from_dense("in", "p", np.ones((1, 1))),))


@pytest.mark.parametrize(
    ("scales", "exponents", "message"),
    [
        ({"q": 1.0}, {}, r"q not in the graph, which has in, in->p, p"),
        ({}, {"in->p": 8}, r"'in->p' is 8; the chip has -7 to 7"),
        ({"p": 0.0}, {}, r"scale of 'p' is 0.0; give a positive number"),
        ({"p": float("nan")}, {}, r"scale of 'p' is nan"),
    ],
)
def test_impossible_grids(scales: dict[str, float], exponents: dict[str, int], message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        quantize(GRAPH, LOIHI2, Grid(scales, exponents))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"profile": "loihi2_estimate"}', '{"profile": "loihi2_estimate", "scales": 1, "exponents": {}}']
)
def test_an_entry_that_cannot_be_read(text: str) -> None:
    with pytest.raises(QuantizationError, match="metadata 'grid' holds no grid"):
        quantize(GRAPH.replace(metadata={METADATA: text}), LOIHI2)


def test_a_carried_grid_may_name_what_is_gone() -> None:
    entry = Grid({"p": 1e5, "gone": 1.0}, {"in->p": 7, "gone->p": 3}).to_metadata(LOIHI2.id)
    integer, _ = quantize(GRAPH.replace(metadata=entry), LOIHI2)
    assert Grid.of(integer) == Grid({"p": 1e5}, {"in->p": 7})


def test_an_exponent_too_low_clips_and_tells() -> None:
    """1.0 * 0.1 * 64000 / 64 = 100 input units; exponent -2 asks for 400, 254 is the most."""
    integer, report = quantize(GRAPH, LOIHI2, Grid({"p": 64000.0}, {"in->p": -2}))
    assert integer.projections[0].weights.tolist() == [254]
    assert report.clipped == 1
