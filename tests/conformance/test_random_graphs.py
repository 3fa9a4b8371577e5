"""Everything at once: random graphs with every form, mixed delays and constants of each neuron's own."""

import pytest

from tests.conformance.conftest import Case


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_random_graph(case: Case, seed: int) -> None:
    case.check(seed, n_samples=2, n_steps=80)
