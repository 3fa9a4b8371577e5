"""Constants that differ from neuron to neuron, and constants that do not."""

import pytest

from tests.conformance.conftest import Case


@pytest.mark.parametrize("per_neuron", [True, False])
def test_constants(case: Case, per_neuron: bool) -> None:
    case.check(6, per_neuron=per_neuron, delays=(1, 2))
