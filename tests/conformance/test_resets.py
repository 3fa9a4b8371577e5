"""Both resets: the threshold crossed is taken off at the next step, or v starts anew from v_reset."""

import pytest

from tests.conformance.conftest import Case


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
def test_reset(case: Case, reset: str) -> None:
    case.check(1, resets=(reset,), adaptations=(), refractory=False, synaptic_current=False, delays=(1, 1))
