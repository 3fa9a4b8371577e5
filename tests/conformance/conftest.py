"""Every behaviour runs on every backend in both precisions; gaps are listed with their reason in unsupported.toml."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from neuromorph.agreement import validate
from neuromorph.backends import backend, backends
from neuromorph.backends.plastic import ThirdFactors
from neuromorph.compare import Comparison
from neuromorph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.strategies import random_graph, random_inputs

GAPS = tomllib.loads((Path(__file__).parent / "unsupported.toml").read_text()).get("gap", [])
CASES = [(name, precision) for name in backends() if name != "reference" for precision in ("float", "integer")]


@dataclass(frozen=True)
class Case:
    """One backend at one precision."""

    backend: str
    precision: str

    def check(self, seed: int, n_samples: int = 3, n_steps: int = 60, **choices: object) -> Graph:
        """A random graph of `choices` must fire and run as on the reference; returns it."""
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, precision=self.precision, max_neurons=10, **choices)
        result = self.compare(graph, random_inputs(rng, graph, n_samples, n_steps))
        assert result.spikes > 20, "the graph hardly fires: the comparison would prove nothing"
        assert result.identical, str(result)
        return graph

    def compare(self, graph: Graph, inputs) -> Comparison:
        return validate(graph, inputs, self.backend).comparisons[0]

    def record(self, graph: Graph, inputs: Spikes, third: ThirdFactors) -> tuple[Recording, Recording]:
        """A plastic graph as this backend and as the reference ran it, all states recorded, H and E among them."""
        states = [*(p.name for p in graph.neurons), *(q.name for q in graph.plastic)]
        found, wanted = (backend(name).run(graph, inputs, states=states, third_factors=third) for name in (self.backend, "reference"))
        return found, wanted


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    behaviour = Path(metafunc.module.__file__).stem.removeprefix("test_")
    marks: Callable[[str, str], list[pytest.MarkDecorator]] = lambda backend, precision: [  # noqa: E731
        pytest.mark.xfail(reason=gap["reason"], strict=True)
        for gap in GAPS
        if (gap["backend"], gap["behaviour"], gap["precision"]) == (backend, behaviour, precision)
    ]
    cases = [pytest.param(Case(b, p), marks=marks(b, p), id=f"{b}-{p}") for b, p in CASES]
    metafunc.parametrize("case", cases)
