"""Spike-frequency adaptation by threshold and by current, under both resets."""

import pytest

from neuromorph.graph import ALIF
from tests.conformance.conftest import Case


@pytest.mark.parametrize("adaptation", ["threshold", "current"])
@pytest.mark.parametrize("reset", ["subtract", "to_value"])
def test_adaptation(case: Case, adaptation: str, reset: str) -> None:
    graph = case.check(2, resets=(reset,), adaptations=(adaptation,) * 9, refractory=False, synaptic_current=False, delays=(1, 1))
    assert any(isinstance(p, ALIF) and p.adaptation == adaptation for p in graph.populations)
