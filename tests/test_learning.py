"""What plastic graphs ask of a chip: updates counted, priced, and held against what the chip has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.energy import estimate
from neuromorph.errors import GraphError
from neuromorph.graph import LI, LIF, FixedPoint, Graph, Input, Plasticity, Projection
from neuromorph.hardware import load_profile
from neuromorph.learning import Learning
from neuromorph.mapping import check, partition
from neuromorph.netx import save_netx
from neuromorph.neurobench import as_model
from neuromorph.spikes import Spikes

FIXED = FixedPoint(-6, 64, 64, 255, 0, 8, 0, 2**15 - 1)


def rule(kind: str, third: str, n: int) -> Plasticity:
    return Plasticity(kind, np.full(n, 100), 400, 3000, 255, third, third_limit=127, decay_post=0, post_offset=0, fixed=FIXED)


def network(thirds: tuple[str, str] = ("reward", "reward")) -> Graph:
    """Six synapses retroactive, four modulated, the readout's fixed."""
    neurons = LIF.of("n", 2, decay_v=3000, v_th=40, precision="integer", reset="to_value"), LI.of("y", 1, decay_v=3000, precision="integer")
    first = Projection.from_dense("i", "n", np.full((3, 2), 64))
    again = Projection.from_dense("n", "n", np.full((2, 2), 10))
    read = Projection.from_dense("n", "y", np.full((2, 1), 10))
    plastic = replace(first, plasticity=rule("retroactive", thirds[0], 6)), replace(again, plasticity=rule("modulated", thirds[1], 4))
    return Graph(1e-3, (Input("i", 3), *neurons), (*plastic, read))


def counted(graph: Graph):
    inputs = Spikes.from_dense(np.random.default_rng(0).random((10, 2, 3)) < 0.3, 1e-3)
    third = {name: np.zeros((10, 2), np.int64) for name in graph.third_factors}
    return count(graph, inputs, ReferenceBackend().run(graph, inputs, third_factors=third))


def test_updates_are_counted_by_projection() -> None:
    counts = counted(network())
    assert {name: n.tolist() for name, n in counts.eligibility_updates.items()} == {"i->n": [60, 60]}
    assert {name: n.tolist() for name, n in counts.plastic_updates.items()} == {"i->n": [60, 60], "n->n": [40, 40]}
    assert counts.totals()["plastic_updates"] == {"i->n": 120, "n->n": 80}


def test_learning_is_priced_by_the_graph_s_own_rules() -> None:
    graph = network()
    counts = counted(graph)
    (line,) = [t for t in estimate(counts, graph, load_profile("loihi1")).terms if t.quantity == "energy.synapse_learn_update"]
    assert line.count == 60 + 60 + 40
    seldom = Learning(("i->n", "n->n"), epoch=5, rules=1)
    (line,) = [t for t in estimate(counts, graph, load_profile("loihi1"), learning=seldom).terms if "learn" in t.quantity]
    assert line.count == 10 * 2


def test_a_graph_without_rules_learns_nothing() -> None:
    graph = network()
    fixed = graph.replace(projections=tuple(replace(q, plasticity=None) for q in graph.projections))
    assert Learning.of(fixed) is None
    assert Learning.of(graph) == Learning(("i->n", "n->n"), 1, 2)
    counts = counted(fixed)
    assert not counts.plastic_updates
    assert not [t for t in estimate(counts, fixed, load_profile("loihi1")).terms if "learn" in t.quantity]


def test_cores_hold_tags_and_axons_of_plastic_synapses() -> None:
    graph, loihi = network(), load_profile("loihi1")
    fixed = graph.replace(projections=tuple(replace(q, plasticity=None) for q in graph.projections))
    used = [partition(g, loihi).used["in_axons"].sum() for g in (fixed, graph)]
    assert used[1] - used[0] == 3 + 2


@pytest.mark.parametrize(("name", "broken"), [("loihi1", ["third factors"]), ("loihi2", []), ("truenorth", ["learning"])])
def test_chips_have_so_many_third_factors(name: str, broken: list[str]) -> None:
    graph = network(("reward", "error"))
    rules = check(graph, load_profile(name)).rules
    assert [r.rule for r in rules if r.status == "broken" and r.rule in ("learning", "third factors", "learning epoch")] == broken
    assert "third factors" not in {r.rule for r in check(network(), load_profile(name)).rules if r.status == "broken"}


def test_what_holds_fixed_weights_alone_refuses_plastic_ones(tmp_path: Path) -> None:
    for write in (lambda: save_netx(tmp_path / "n.net", network()), lambda: as_model(network())):
        with pytest.raises(GraphError, match="plastic"):
            write()
