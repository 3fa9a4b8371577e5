"""Everything at once: random graphs with every form, mixed delays and constants of each neuron's own, silent ones too."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.conftest import Case
from tests.strategies import graphs, inputs

EXAMPLES = int(os.environ.get("NEUROMORPH_GRAPHS", "10"))
"""Graphs of each precision for each backend; `benchmarks.agreement` runs 200."""


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_graph(case: Case, data: st.DataObject) -> None:
    graph = data.draw(graphs(precision=case.precision))
    result = case.compare(graph, data.draw(inputs(graph, 2, 40)))
    assert result.identical, str(result)
