"""Every simulator against every other, batch by batch, and what is told of those that differ."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph import agreement
from neuromorph.agreement import validate
from neuromorph.backends import backend
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.compare import compare
from neuromorph.errors import GraphError
from neuromorph.graph import LIF, Graph
from neuromorph.graph import populations as kinds
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.recording import Recording
from neuromorph.report import write_validation
from neuromorph.spikes import Spikes
from tests.report.conftest import random_graph
from tests.strategies import plastic_graph, random_inputs, third_factors

NAMES = ["excitatory", "inhibitory", "adaptive", "readout"]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return random_graph(5)


@pytest.fixture(scope="module")
def inputs() -> Spikes:
    return Spikes.from_dense(np.random.default_rng(4).random((60, 7, 12)) < 0.1, 1e-3)


def flipping(graph: Graph, sample: int, step: int):
    """The reference, but for the first neuron's spike at one step of one sample (counted over all that it is given)."""
    seen = 0

    def run(given) -> Recording:
        nonlocal seen
        recording = backend("reference").run(graph, given, states=NAMES)
        if seen <= sample < seen + recording.n_samples:
            dense = recording.spikes["excitatory"].to_dense()
            dense[step, sample - seen, 0] ^= True
            recording = replace(recording, spikes={**recording.spikes, "excitatory": Spikes.from_dense(dense, graph.dt)})
        seen += recording.n_samples
        return replace(recording, backend="flipping")

    return run


@pytest.mark.parametrize("cells", [1, 60 * 32 * 3, 2**23])
def test_batches_do_not_matter(graph: Graph, inputs: Spikes, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(graph, flipping(graph, 4, 33)(inputs), backend("reference").run(graph, inputs, states=NAMES))
    monkeypatch.setattr(agreement, "CELLS", cells)
    found = validate(graph, inputs, ["reference"], others={"flipping": flipping(graph, 4, 33)})
    (comparison,) = found.comparisons
    assert replace(comparison, readout_correlation=None) == replace(whole, readout_correlation=None)
    assert comparison.readout_correlation == pytest.approx(1.0, abs=1e-12)
    assert comparison.first is not None
    assert (comparison.first.sample, comparison.first.step, comparison.first.population, comparison.first.neuron) == (
        4,
        33,
        "excitatory",
        0,
    )
    assert (comparison.samples, comparison.samples_differing, comparison.spikes_differing) == (7, 1, 1)
    (excerpt,) = found.excerpts
    assert excerpt.first == comparison.first
    assert excerpt.against.n_samples == 1
    np.testing.assert_array_equal(
        excerpt.against.readouts["readout"], backend("reference").run(graph, inputs.select([4])).readouts["readout"]
    )


def test_a_flip_is_no_rounding_and_fails(graph: Graph, inputs: Spikes) -> None:
    found = validate(graph, inputs, ["reference"], others={"flipping": flipping(graph, 0, 10)})
    assert not found.agrees
    assert found.comparisons[0].verdict == "DIFFERENT"
    assert found.comparisons[0].first.margin > 1e-6


def test_precisions_are_compared_but_need_not_agree(graph: Graph, inputs: Spikes) -> None:
    integer, _ = quantize(graph, load_profile("loihi2"))
    found = validate((graph, integer), inputs, ["reference", "fast"])
    pairs = [(c.against, c.against_precision, c.backend, c.precision) for c in found.comparisons]
    assert pairs == [
        ("reference", "float64", "fast", "float64"),
        ("reference", "float64", "reference", "integer"),
        ("reference", "integer", "fast", "integer"),
    ]
    assert found.agrees
    across = found.comparisons[1]
    assert not across.must_agree
    assert across.traces == 0
    runs = [backend("reference").run(g, inputs) for g in (graph, integer)]
    a, b = (np.concatenate([r.spikes[name].to_dense() for name in NAMES[:-1]], axis=2) for r in runs)
    assert across.spikes_differing == np.count_nonzero(a != b)
    assert across.spike_agreement == np.count_nonzero(a & b) / np.count_nonzero(a | b)
    y = [r.readouts["readout"].ravel() for r in runs]
    assert across.readout_correlation == pytest.approx(np.corrcoef(*y)[0, 1], abs=1e-9)
    for name, (fast, slow) in across.rates.items():
        assert (fast, slow) == pytest.approx(tuple(r.spikes[name].rate() for r in runs[::-1]))


def test_one_name_means_against_the_reference(graph: Graph, inputs: Spikes) -> None:
    (comparison,) = validate(graph, inputs, "fast").comparisons
    assert (comparison.backend, comparison.against) == ("fast", "reference")
    with pytest.raises(GraphError, match="name two or more"):
        validate(graph, inputs, ["fast"])


def test_progress_counts_samples_of_all_simulators(graph: Graph, inputs: Spikes) -> None:
    calls: list[tuple[int, int]] = []
    validate(graph, inputs, ["reference", "fast"], progress=lambda *call: calls.append(call))
    assert calls == [(7, 14), (14, 14)]


def test_the_page_shows_the_first_difference(graph: Graph, inputs: Spikes, tmp_path) -> None:
    found = validate(graph, inputs, ["reference"], others={"flipping": flipping(graph, 4, 33)})
    page = write_validation(tmp_path / "page.html", found, model="<model>").read_text()
    assert page.count("<svg") == 2
    assert "&lt;model&gt;" in page
    assert "Where flipping and reference (float) part" in page


def test_plastic_networks_are_validated_with_their_third_factors() -> None:
    """Floats and the integers made of them, H and E recorded; a planted change of eta is found in E of a synapse."""
    rng = np.random.default_rng(1)
    graph = plastic_graph(rng, rule="retroactive", modulator=False, max_neurons=6)
    zero = [kinds.replace(p, v_reset=np.zeros(p.n)) if isinstance(p, LIF) else p for p in graph.populations]
    graph = graph.replace(populations=tuple(zero))
    integer, _ = quantize(graph, load_profile("loihi2"))
    inputs, third = random_inputs(rng, graph, 3, 30), third_factors(rng, graph, 3, 30)
    found = validate([graph, integer], inputs, ["reference", "fast"], third_factors=third)
    assert found.agrees
    assert len(found.comparisons) == 3
    (q, *_) = graph.plastic
    changed = replace(q, plasticity=replace(q.plasticity, eta=q.plasticity.eta * 1.01))
    other = graph.replace(projections=tuple(changed if p.name == q.name else p for p in graph.projections))
    names = [p.name for p in (*graph.neurons, *graph.plastic)]
    a, b = (ReferenceBackend().run(g, inputs, states=names, third_factors=third) for g in (graph, other))
    first = compare(graph, replace(b, graph_digest=a.graph_digest), a).first
    assert first is not None
    assert (first.population, first.variable) == (q.name, "E")
