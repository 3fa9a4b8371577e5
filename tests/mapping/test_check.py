"""Every rule of the design-rule check is broken once, and the remedy that it tells mends it."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph.graph import ALIF, LIF, Graph, Input, Projection
from neuromorph.graph import populations as kinds
from neuromorph.hardware import load_profile
from neuromorph.learning import Learning
from neuromorph.mapping import check
from neuromorph.mapping.check import CheckReport
from neuromorph.rules import Rule
from tests.mapping.test_partition import small


def network(**constants) -> Graph:
    """An adaptive population that Loihi 1 has."""
    settings = {"decay_v": 3800, "decay_a": 4000, "v_th": 1000, "kappa": 500, "reset": "to_value", "adaptation": "current"} | constants
    neurons = ALIF.of("n", 20, precision="integer", **settings)
    weights = np.full((3, 20), 64)
    return Graph(1e-3, (Input("in", 3), neurons), (Projection.from_dense("in", "n", weights),))


def broken(report: CheckReport) -> list[Rule]:
    return [rule for rule in report.rules if rule.status == "broken"]


def test_what_fits() -> None:
    report = check(network(), load_profile("loihi1"))
    assert report.fits
    assert report.partition is not None
    assert {rule.rule for rule in report.rules} >= {
        "reset",
        "adaptation",
        "delay",
        "compartments",
        "input axons",
        "bits of synaptic memory",
    }
    compartments = next(rule for rule in report.rules if rule.rule == "compartments")
    assert (compartments.used, compartments.allowed) == (40, 1024)
    assert compartments.percent == pytest.approx(3.90625)


@pytest.mark.parametrize(
    ("constants", "rule", "used", "allowed", "remedy"),
    [
        ({"reset": "subtract"}, "reset", "subtract", "to_value", "Train with reset='to_value'"),
        ({"adaptation": "threshold"}, "adaptation", "threshold", "current", "Train with adaptation='current', reset='to_value'"),
        ({"n_ref": 64}, "refractory period", 64, 63, "Train with a shorter n_ref"),
    ],
)
def test_neurons_that_loihi_1_does_not_have(constants: dict, rule: str, used: object, allowed: object, remedy: str) -> None:
    report = check(network(**constants), load_profile("loihi1"))
    assert not report.fits
    (found,) = broken(report)
    assert (found.rule, found.used, found.allowed) == (rule, used, allowed)
    assert remedy in found.remedy
    assert "'n'" in found.subject


def test_loihi_2_takes_the_network_that_loihi_1_refuses() -> None:
    graph = network(reset="subtract", adaptation="threshold")
    assert not check(graph, load_profile("loihi1")).fits
    assert check(graph, load_profile("loihi2")).fits


def test_delays_and_exponents() -> None:
    graph = network()
    (q,) = graph.projections
    late = graph.replace(projections=(replace(q, delays=np.full_like(q.delays, 63), weight_exp=8),))
    found = broken(check(late, load_profile("loihi1")))
    assert [(r.rule, r.used) for r in found] == [("delay", 63), ("weight exponent", "8")]


def test_thresholds_of_fewer_bits() -> None:
    profile = load_profile("loihi1")
    (rule,) = broken(check(network(), replace(profile, limits={**profile.limits, "vth_mantissa_bits": 9})))
    assert (rule.rule, rule.used, rule.allowed) == ("threshold", 1000, 511)
    assert "Quantise the float graph" in rule.remedy


def test_a_population_larger_than_a_core_is_split() -> None:
    report = check(network(), small(compartments=15))
    assert report.fits
    (rule,) = [rule for rule in report.rules if rule.status == "split"]
    assert (rule.rule, rule.used, rule.allowed) == ("compartments", 40, 15)
    assert "Split it over 3 cores" in rule.remedy
    assert report.partition is not None
    assert report.partition.n_cores == 3


def test_more_cores_than_there_are() -> None:
    profile = small(compartments=2)
    profile = replace(profile, limits={**profile.limits, "cores_per_chip": 8})
    (rule,) = broken(check(network(), profile))
    assert (rule.rule, rule.used, rule.allowed) == ("cores", 20, 8)
    assert "Use 3 chips" in rule.remedy
    assert check(network(), profile, chips=3).fits


def test_one_neuron_too_large_for_a_core() -> None:
    (rule,) = broken(check(network(), small(in_axons=2)))
    assert "one neuron alone needs 4 input axons, a core has 2" in rule.fault


def test_profiles_without_neuron_forms_are_refused() -> None:
    (rule,) = broken(check(network(), load_profile("cmos45_fp32")))
    assert rule.rule == "neuron forms"


def test_values_of_float_graphs() -> None:
    """A float graph is held against forms and delays; its numbers are those of no chip yet."""
    neurons = LIF.of("n", 4, decay_v=0.9, v_th=-1.0, reset="to_value")
    graph = Graph(1e-3, (Input("in", 1), neurons), (Projection.from_dense("in", "n", np.ones((1, 4))),))
    assert [rule.rule for rule in broken(check(graph, load_profile("loihi1")))] == ["threshold"]
    positive = graph.replace(populations=(graph.populations[0], kinds.replace(neurons, v_th=np.ones(4))))
    assert check(positive, load_profile("loihi1")).fits
    shifted = positive.replace(populations=(graph.populations[0], kinds.replace(neurons, v_th=np.ones(4), v_reset=np.full(4, 0.5))))
    (rule,) = broken(check(shifted, load_profile("loihi1")))
    assert (rule.rule, rule.used, rule.allowed) == ("reset value", "0.5", "0")
    assert "Shift v" in rule.remedy


LEARNING = Learning(("in->n",), epoch=2)


def test_plastic_synapses_take_two_axons_and_a_tag() -> None:
    """Three axons of 20 synapses: 20 x 8 + 10 bits in 192, with tags of 9 bits 20 x 17 + 10 in 384."""
    fixed, plastic = (check(network(), load_profile("loihi1"), learning=learning) for learning in (None, LEARNING))
    assert plastic.fits
    used = [report.partition.used for report in (fixed, plastic)]
    assert used[1]["in_axons"][0] - used[0]["in_axons"][0] == 3
    assert used[1]["synapse_bits"][0] - used[0]["synapse_bits"][0] == 3 * (384 - 192)
    told = {rule.rule: (rule.used, rule.allowed) for rule in plastic.rules}
    assert told["learning epoch"] == (2, 63)
    assert "learning" not in {rule.rule for rule in fixed.rules}


def test_a_large_plastic_network_needs_more_cores() -> None:
    rng = np.random.default_rng(0)
    neurons = LIF.of("n", 300, decay_v=3800, v_th=1000, precision="integer", reset="to_value")
    weights = np.where(rng.random((300, 300)) < 0.6, 64, 0)
    graph = Graph(1e-3, (Input("in", 1), neurons), (Projection.from_dense("n", "n", weights),))
    loihi = load_profile("loihi1")
    fixed, plastic = (check(graph, loihi, learning=learning) for learning in (None, Learning(("n->n",))))
    assert fixed.partition.n_cores == 1
    assert plastic.partition.n_cores == 2
    assert plastic.partition.used["synapse_bits"].max() <= loihi.limit("synapse_mem_bits_per_core")


@pytest.mark.parametrize(
    ("name", "epoch", "rule", "fault"),
    [
        ("loihi1", 64, "learning epoch", "64 steps exceeds 63"),
        ("truenorth", 1, "learning", "truenorth does not learn; 60 synapses"),
        ("cmos45_int8_mem", 1, "learning", "not known to learn"),
    ],
)
def test_learning_that_a_chip_lacks(name: str, epoch: int, rule: str, fault: str) -> None:
    found = [r for r in broken(check(network(), load_profile(name), learning=replace(LEARNING, epoch=epoch))) if r.rule == rule]
    assert len(found) == 1
    assert fault in found[0].fault
    assert found[0].remedy
