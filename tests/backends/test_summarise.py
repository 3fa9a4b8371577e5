"""Counting on the reference, where numba is not there, gives the numbers of `fast`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends import summarise as module
from neuromorph.backends.fast import FastBackend
from neuromorph.backends.summarise import default_backend, summarise
from neuromorph.errors import GraphError
from tests.strategies import random_graph, random_inputs


@pytest.fixture
def no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FastBackend, "available", lambda self: "numba is not installed")


def test_the_default_is_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_backend() == "fast"
    monkeypatch.setattr(FastBackend, "available", lambda self: "numba is not installed")
    assert default_backend() == "reference"


@given(st.integers(0, 2**32), st.sampled_from(["float", "integer"]))
@settings(max_examples=10, deadline=None)
def test_both_give_the_same_summary(seed: int, precision: str) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, precision=precision, max_neurons=8)
    inputs = random_inputs(rng, graph, 5, 20)
    fast = FastBackend().summarise(graph, inputs, window=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FastBackend, "available", lambda self: "numba is not installed")
        patch.setattr(module, "CHUNK", 2)
        slow = summarise(graph, inputs, window=7)
    assert (slow.graph_digest, slow.n_samples, slow.n_steps, slow.window) == (fast.graph_digest, 5, 20, 7)
    assert slow.saturations == fast.saturations
    for field in ("fired", "active", "readouts"):
        mine, other = getattr(slow, field), getattr(fast, field)
        assert list(mine) == list(other)
        for name in mine:
            np.testing.assert_array_equal(mine[name], other[name])
            assert mine[name].dtype == other[name].dtype


@pytest.mark.usefixtures("no_numba")
def test_a_window_must_lie_in_the_run() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng)
    with pytest.raises(GraphError, match=r"window is 9 steps; allowed: 1\.\.8"):
        summarise(graph, random_inputs(rng, graph, 1, 8), window=9)
