"""Energy by hand: published networks from their counts, a small graph term by term, monotony, refusals."""

import json
from dataclasses import replace as changed

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.energy import estimate, events_of
from neuromorph.energy.latency import Latency
from neuromorph.energy.memory import memory
from neuromorph.energy.terms import Events, Interval, price
from neuromorph.errors import EnergyUnavailable, GraphError
from neuromorph.graph import ALIF, LI, Graph, Input, Projection
from neuromorph.hardware import list_profiles, load_profile
from neuromorph.learning import Learning
from neuromorph.spikes import Spikes
from tests.strategies import graphs, random_inputs

DT = 1e-3
ESTIMABLE = [
    "cmos45_fp32",
    "cmos45_int8_mem",
    "loihi1",
    "loihi1_sanafe",
    "loihi2_estimate",
    "odin",
    "spinnaker1",
    "spinnaker2",
    "truenorth",
]

# Intel's LSNN on sequential MNIST, one inference (840 steps), counts of a re-run: 108537 input, 480686 recurrent, 39166
# readout and 2000 relay synaptic operations, 4763 onto auxiliary compartments; 430 compartments.
SYNOPS, AUXILIARY, UPDATES, WITH_INPUT = 630389, 4763, 361200, 200438
MEASURED = 22.15e-6  # core-dynamic energy on Loihi 1 [J]


def nominal(events: Events, profile: str, *names: str) -> float:
    return sum(t.nominal for t in price(events, load_profile(profile)) if not names or t.quantity.removeprefix("energy.") in names)


def lsnn(active: int) -> Events:
    return Events(synops=SYNOPS, auxiliary_synops=AUXILIARY, updates_active=active, updates_inactive=UPDATES - active)


@pytest.mark.parametrize(("active", "microjoules"), [(0, 33.8), (UPDATES, 44.2), (WITH_INPUT, 39.6)])
def test_intel_lsnn_with_the_constants_of_davies(active, microjoules):
    assert nominal(lsnn(active), "loihi1") == pytest.approx(microjoules * 1e-6, abs=0.06e-6)


def test_intel_lsnn_with_the_naive_proxy():
    assert nominal(lsnn(WITH_INPUT), "cmos45_fp32") == pytest.approx(0.57e-6, abs=0.005e-6)
    assert MEASURED / nominal(lsnn(WITH_INPUT), "cmos45_fp32") == pytest.approx(38.7, abs=0.1)


def test_intel_lsnn_with_the_constants_of_sanafe():
    events = changed(lsnn(0), spikes=10528, messages=10528)
    assert 46.0e-6 < nominal(changed(events, updates_active=WITH_INPUT, updates_inactive=UPDATES - WITH_INPUT), "loihi1_sanafe") < 46.5e-6
    assert 49.0e-6 < nominal(changed(events, updates_active=UPDATES, updates_inactive=0), "loihi1_sanafe") < 49.9e-6
    by_hand = 635152 * 33.6e-12 + 361200 * 51.2e-12 + 10528 * (69.3e-12 + 111e-12)
    assert nominal(events, "loihi1_sanafe") == pytest.approx(by_hand)


@pytest.mark.parametrize("profile", ["loihi1", "loihi1_sanafe"])
def test_the_measured_lsnn_lies_in_the_interval_times_the_discrepancy(profile):
    loihi = load_profile(profile)
    terms = price(lsnn(WITH_INPUT), loihi)
    assert loihi.model_discrepancy is not None
    low, high = (sum(getattr(t, end) for t in terms) for end in ("lo", "hi"))
    assert low * loihi.model_discrepancy.lo < MEASURED < high * loihi.model_discrepancy.hi


def test_pilotnet_on_loihi_2():
    """lava-dl's PilotNet LIF: 2.288e10 synaptic operations in 10000 steps, 158509 neurons, 16 steps per inference."""
    synops, updates = 2.288e10 / 10000 * 16, 158509 * 16
    resting = Events(synops=synops, updates_inactive=updates)
    busy = Events(synops=synops, updates_active=updates)
    names = "synop", "neuron_update_active", "neuron_update_inactive"
    assert nominal(resting, "loihi2", *names) == pytest.approx(0.996e-3, rel=1e-3)
    assert nominal(busy, "loihi2", *names) == pytest.approx(1.069e-3, rel=1e-3)
    assert sum(t.lo for t in price(resting, load_profile("loihi2"))) < 1.094e-3 < sum(t.hi for t in price(busy, load_profile("loihi2")))


def small(adaptation="current", reset="to_value") -> Graph:
    adaptive = ALIF.of("a", 3, decay_v=0.5, gain=1.0, v_th=0.5, decay_a=0.9, kappa=0.1, adaptation=adaptation, reset=reset)
    return Graph(
        DT,
        (Input("i", 2), adaptive, LI.of("y", 2, decay_v=0.5)),
        (Projection.from_dense("i", "a", [[1.0, 0.1, 0.0], [0.0, 1.0, 0.1]]), Projection.from_dense("a", "y", [[1.0, 1.0]] * 3)),
    )


def counted(graph: Graph, inputs: Spikes):
    return count(graph, inputs, ReferenceBackend().run(graph, inputs))


def inputs_of(*events: tuple[int, int]) -> Spikes:
    steps, neurons = zip(*events) if events else ((), ())
    return Spikes.from_events([0] * len(events), steps, neurons, n_samples=1, n_steps=10, n_neurons=2, dt=DT)


def test_a_small_graph_term_by_term():
    """Input 0 fires at step 0, so neuron a0 at step 1: 2 + 2 synaptic operations and 1 onto a0's second compartment.
    With input: a0, a1 at step 1 (2 compartments each), y0, y1 at step 2: 6 of 8 compartments x 10 steps."""
    graph = small()
    loihi = load_profile("loihi1")
    counts = counted(graph, inputs_of((0, 0)))
    assert events_of(counts, graph, loihi) == Events(
        synops=4, auxiliary_synops=1, updates_active=6, updates_inactive=74, spikes=1, messages=2
    )
    report = estimate(counts, graph, loihi)
    assert [(t.scope, t.quantity, t.count) for t in report.terms] == [
        ("dynamic", "energy.synop", 4),
        ("dynamic", "energy.synop", 1),
        ("dynamic", "energy.neuron_update_active", 6),
        ("dynamic", "energy.neuron_update_inactive", 74),
        ("dynamic", "energy.spike_intra_tile", 2),
        ("static", "power.static_per_core", pytest.approx(0.010)),
        ("embedded_cpu", "energy.embedded_cpu_step", 10),
        ("embedded_cpu", "power.embedded_cpu_static", pytest.approx(0.010)),
    ]
    dynamic = 5 * 23.6e-12 + 6 * 81e-12 + 74 * 52e-12 + 2 * 1.7e-12
    assert report.scopes["dynamic"].nominal == pytest.approx(dynamic)
    assert report.scopes["dynamic"].lo == pytest.approx(5 * 23.6e-12 + 6 * 52e-12 + 74 * 19.8e-12 + 2 * 1.7e-12)
    assert report.scopes["static"].nominal == pytest.approx(0.503e-3 * 0.010)
    assert report.scopes["embedded_cpu"].nominal == pytest.approx(10 * 386e-9 + 0.149e-3 * 0.010)
    assert report.total.nominal == pytest.approx(sum(s.nominal for s in report.scopes.values()))
    assert report.corrected_dynamic is not None
    assert report.corrected_dynamic.nominal == pytest.approx(0.8 * dynamic)
    assert report.corrected_dynamic.lo == pytest.approx(0.45 * report.scopes["dynamic"].lo)
    assert not report.what_if


def test_compartments_come_in_groups_of_four():
    """Loihi 2 needs 5 compartments for 3 ALIF and 2 LI, and updates 8."""
    graph = small()
    events = events_of(counted(graph, inputs_of((0, 0))), graph, load_profile("loihi2"))
    assert (events.updates_active, events.updates_inactive, events.auxiliary_synops) == (4, 76, 0)


def test_measured_static_and_processor_energy_of_intels_lsnn():
    """16.65 us per step for 840 steps, 2 cores: 14.07 uJ static, 324.4 uJ x86 dynamic, 2.1 uJ x86 static."""
    loihi = load_profile("loihi1")
    graph = small()
    steps = 840
    inputs = Spikes.from_events([], [], [], n_samples=1, n_steps=steps, n_neurons=2, dt=DT)
    report = estimate(counted(graph, inputs), graph, loihi, step_seconds=16.65e-6)
    assert report.seconds.nominal == pytest.approx(13.986e-3)
    assert 2 * report.scopes["static"].nominal == pytest.approx(14.07e-6, rel=2e-3)
    processor = {t.quantity: t.nominal for t in report.terms if t.scope == "embedded_cpu"}
    assert processor["energy.embedded_cpu_step"] == pytest.approx(324.4e-6, rel=2e-3)
    assert processor["power.embedded_cpu_static"] == pytest.approx(2.1e-6, rel=0.02)


@pytest.mark.parametrize("profile", ESTIMABLE)
def test_more_spikes_never_cost_less(profile):
    graph, chip = small(), load_profile(profile)
    silent = estimate(counted(graph, inputs_of()), graph, chip)
    one = estimate(counted(graph, inputs_of((0, 0))), graph, chip)
    more = estimate(counted(graph, inputs_of((0, 0), (2, 1), (5, 0), (5, 1))), graph, chip)
    for end in ("lo", "nominal", "hi"):
        assert getattr(silent.total, end) <= getattr(one.total, end) <= getattr(more.total, end)
    assert silent.total.nominal < one.total.nominal < more.total.nominal


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(ESTIMABLE), st.integers(0, 2**32 - 1))
def test_any_graph(data, name, seed):
    rng, chip = np.random.default_rng(seed), load_profile(name)
    graph = data.draw(graphs())
    inputs = random_inputs(rng, graph, 3, 12)
    recording = ReferenceBackend().run(graph, inputs)
    report = estimate(count(graph, inputs, recording), graph, chip, what_if=True)
    assert report.total.lo <= report.total.nominal <= report.total.hi
    assert report.total.nominal == pytest.approx(sum(t.nominal for t in report.terms))
    assert all(t.count >= 0 for t in report.terms)
    nobody = {
        n: Spikes.from_events([], [], [], n_samples=3, n_steps=12, n_neurons=s.n_neurons, dt=s.dt) for n, s in recording.spikes.items()
    }
    no_input = Spikes.from_events([], [], [], n_samples=3, n_steps=12, n_neurons=inputs.n_neurons, dt=graph.dt)
    silent = changed(recording, spikes=nobody)
    assert estimate(count(graph, no_input, silent), graph, chip, what_if=True).total.nominal <= report.total.nominal


def test_a_silent_run_costs_updates_and_static_power():
    graph = small()
    report = estimate(counted(graph, inputs_of()), graph, load_profile("loihi1"))
    cost = {t.quantity: t.nominal for t in report.terms}
    assert cost["energy.synop"] == 0
    assert cost["energy.neuron_update_inactive"] == pytest.approx(80 * 52e-12)
    assert cost["power.static_per_core"] > 0
    assert report.total.lo > 0


def test_truenorth_folds_updates_into_static_power():
    graph = small()
    report = estimate(counted(graph, inputs_of((0, 0))), graph, load_profile("truenorth"))
    assert [t.quantity for t in report.terms] == ["energy.synop", "power.static_per_chip"]
    assert report.scopes["dynamic"].nominal == pytest.approx(4 * 2.3e-12)
    assert report.scopes["static"].nominal == pytest.approx(64.4e-3 * 0.010)
    assert report.what_if
    assert "does not compile" in report.reasons[0]
    without = changed(load_profile("truenorth"), power={})
    with pytest.raises(EnergyUnavailable, match="static_per_chip"):
        estimate(counted(graph, inputs_of((0, 0))), graph, without)


def test_odin_walks_whole_rows_and_has_no_neuron_term():
    graph = small()
    report = estimate(counted(graph, inputs_of((0, 0))), graph, load_profile("odin"))
    assert [(t.quantity, t.count) for t in report.terms if t.scope == "dynamic"] == [("energy.synop", 2 * 256)]


def test_spinnaker_updates_every_neuron_alone():
    graph = small()
    report = estimate(counted(graph, inputs_of((0, 0))), graph, load_profile("spinnaker2"))
    assert sum(t.count for t in report.terms if "neuron_update" in t.quantity) == 5 * 10
    assert report.scopes["static"] is None
    assert report.unknown == ("static", "embedded_cpu")
    assert report.total == report.scopes["dynamic"]
    assert any("static power" in text for text in report.not_counted)


def test_active_only_profiles_leave_resting_neurons_out():
    graph = small()
    chip = changed(load_profile("spinnaker2"), counts_neuron_updates="active-only")
    report = estimate(counted(graph, inputs_of((0, 0))), graph, chip)
    assert {t.quantity: t.count for t in report.terms} == {"energy.synop": 4, "energy.neuron_update_active": 4}


def test_static_power_is_that_of_as_many_chips_as_are_needed():
    graph = small()
    tiny = changed(load_profile("truenorth"), limits={"compartments_per_core": 2, "cores_per_chip": 2})
    report = estimate(counted(graph, inputs_of()), graph, tiny)
    assert report.scopes["static"].nominal == pytest.approx(2 * 64.4e-3 * 0.010)


def test_power_and_energy_times_delay():
    """Ten steps in real time: 10 ms. Loihi 1: 128 cores would be on if the whole chip were."""
    graph = small()
    report = estimate(counted(graph, inputs_of((0, 0))), graph, load_profile("loihi1"))
    assert report.seconds == Interval(0.010, 0.010, 0.010)
    for end in ("lo", "nominal", "hi"):
        assert getattr(report.power, end) == pytest.approx(getattr(report.total, end) / 0.010)
        assert getattr(report.edp, end) == pytest.approx(getattr(report.total, end) * 0.010)
        assert getattr(report.whole_chips, end) == pytest.approx(128 * getattr(report.scopes["static"], end))
    written = report.to_dict()
    assert written["edp"]["nominal"] == report.edp.nominal
    assert written["power"]["nominal"] == report.power.nominal
    assert written["unknown"] == ()


def test_intel_lsnn_energy_times_delay():
    """Measured: 22.15 uJ dynamic, 14.07 static and 326.5 of the processor in 13.986 ms, 5.07 uJ s."""
    assert (Interval.exactly(362.7e-6) * Interval.exactly(13.986e-3)).nominal == pytest.approx(5.07e-6, rel=1e-3)


LATENCY = Latency("", "loihi1", 1, 10, 0.0, {}, total=Interval(40e-6, 60e-6, 100e-6), wall=Interval(40e-6, 60e-6, 100e-6), not_counted=())


def test_static_power_runs_for_the_time_that_the_chip_needs():
    graph = small()
    counts = counted(graph, inputs_of((0, 0)))
    report = estimate(counts, graph, load_profile("loihi1"), latency=changed(LATENCY, graph_digest=graph.digest()))
    assert report.seconds == LATENCY.wall
    static = report.scopes["static"]
    assert static.lo == pytest.approx(0.0645e-3 * 40e-6)
    assert static.nominal == pytest.approx(0.503e-3 * 60e-6)
    assert static.hi == pytest.approx(0.815e-3 * 100e-6)
    assert report.power.lo == pytest.approx(report.total.lo / 100e-6)
    assert report.power.hi == pytest.approx(report.total.hi / 40e-6)


@pytest.mark.parametrize(
    ("change", "step_seconds", "message"),
    [
        ({"graph_digest": "0" * 64}, None, "another graph, chip or run"),
        ({"profile": "loihi2_estimate"}, None, "another graph, chip or run"),
        ({"n_steps": 11}, None, "over 10 steps"),
        ({}, 1e-3, "give it to one of them"),
    ],
)
def test_a_latency_of_something_else_is_refused(change, step_seconds, message):
    graph = small()
    latency = changed(LATENCY, **{"graph_digest": graph.digest(), **change})
    with pytest.raises(EnergyUnavailable, match=message):
        estimate(counted(graph, inputs_of()), graph, load_profile("loihi1"), latency=latency, step_seconds=step_seconds)


@pytest.mark.parametrize("step_seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_steps_without_time_need_a_latency(step_seconds):
    graph = small()
    with pytest.raises(EnergyUnavailable, match="above 0, or a latency"):
        estimate(counted(graph, inputs_of()), graph, load_profile("loihi1"), step_seconds=step_seconds)


def test_learning_is_a_line_of_its_own():
    """The four synapses of i -> a are plastic, a weight and a tag every second step of ten."""
    graph, loihi = small(), load_profile("loihi1")
    counts = counted(graph, inputs_of((0, 0)))
    plain, learning = (estimate(counts, graph, loihi, learning=each) for each in (None, Learning(("i->a",), epoch=2, rules=2)))
    (line,) = [t for t in learning.terms if t.quantity == "energy.synapse_learn_update"]
    assert line.name.startswith("learning")
    assert line.count == 4 * 2 * 5
    assert learning.dynamic.nominal - plain.dynamic.nominal == pytest.approx(40 * 120e-12)
    with pytest.raises(EnergyUnavailable, match=r"spinnaker2.*energy\.synapse_learn_update"):
        estimate(counts, graph, load_profile("spinnaker2"), learning=Learning(("i->a",)))


def test_learning_costs_more_than_all_else_of_intels_lsnn():
    """10,566 recurrent synapses every second step of 840: 4.4 million updates, 533 uJ by pairwise STDP."""
    updates = 10566 * 840 // 2
    assert nominal(Events(learning_updates=updates), "loihi1", "synapse_learn_update") == pytest.approx(533e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"), [({"projections": ()}, "no projections"), ({"epoch": 0}, "epoch 0"), ({"rules": 4}, "rules 4")]
)
def test_learning_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(GraphError, match=message):
        Learning(**{"projections": ("i->a",), **wrong})


def test_learning_names_projections_of_the_graph():
    graph = small()
    with pytest.raises(GraphError, match="no projection 'x'"):
        estimate(counted(graph, inputs_of()), graph, load_profile("loihi1"), learning=Learning(("x",)))


def test_the_naive_proxy_is_labelled():
    graph = small()
    report = estimate(counted(graph, inputs_of((0, 0))), graph, load_profile("cmos45_fp32"))
    assert report.total.nominal == pytest.approx(4 * 0.9e-12)
    assert "naive" in report.title.lower()
    assert "naive" in report.warning.lower()
    assert any("neuron updates" in text for text in report.not_counted)
    assert not report.what_if


def test_operations_and_memory_accesses_by_hand():
    """Lemaire 2022, 10 steps: 4 synaptic operations, 2 spikes with one projection each, 3 ALIF (v, a) and 2 LI (v), so 80
    state updates, 60 comparisons, 130 states and accumulators. All memories below 8 KiB: 10 pJ per 64-bit access."""
    graph = small()
    report = estimate(counted(graph, inputs_of((0, 0))), graph, load_profile("cmos45_int8_mem"))
    arithmetic = 4 * 0.1 + 4 * 0.1 + 80 * 3.1 + 140 * 0.1
    accesses = 4 * 3 / 8 + 2 + 4 + 130 + 2
    assert report.total.nominal == pytest.approx((arithmetic + 10 * accesses) * 1e-12)
    assert report.total.lo == pytest.approx(report.total.nominal)
    assert report.total.hi == pytest.approx((arithmetic + 10 * (4 + 2 + 8 + 130 + 2)) * 1e-12)  # words not packed
    assert report.unknown == ("static", "embedded_cpu")


def test_larger_memories_cost_more_per_access():
    chip = load_profile("cmos45_int8_mem")
    sizes = {0: 10, 2**13: 10, 20 * 2**10: 15, 2**15: 20, 2**20: 100}
    assert {size: memory(chip, size).v * 1e12 for size in sizes} == pytest.approx(sizes)
    assert (memory(chip, 2**20 + 1).v, memory(chip, 2**20 + 1).hi) == (1.3e-9, 2.6e-9)


@pytest.mark.parametrize("name", sorted(set(list_profiles()) - set(ESTIMABLE)))
def test_profiles_without_energy_per_event_are_refused(name):
    graph = small()
    with pytest.raises(EnergyUnavailable, match=rf"{name}.*it lacks .*energy\.(synop|neuron_update_active)"):
        estimate(counted(graph, inputs_of((0, 0))), graph, load_profile(name), what_if=True)


@pytest.mark.parametrize("missing", ["synop", "neuron_update_active", "neuron_update_inactive"])
def test_a_missing_number_is_named_and_not_taken_as_zero(missing):
    graph, loihi = small(), load_profile("loihi1")
    poorer = changed(loihi, energy={name: q for name, q in loihi.energy.items() if name != missing})
    with pytest.raises(EnergyUnavailable, match=rf"energy\.{missing}"):
        estimate(counted(graph, inputs_of()), graph, poorer)


@pytest.mark.parametrize(("adaptation", "reset", "named"), [("threshold", "to_value", "adaptation"), ("current", "subtract", "reset")])
def test_a_chip_without_the_form_is_refused_with_the_remedy_or_marked(adaptation, reset, named):
    graph, loihi = small(adaptation, reset), load_profile("loihi1")
    counts = counted(graph, inputs_of((0, 0)))
    with pytest.raises(EnergyUnavailable, match=rf"(?s){named}.*(?:Train|loihi2).*what_if=True"):
        estimate(counts, graph, loihi)
    report = estimate(counts, graph, loihi, what_if=True)
    assert report.what_if
    assert named in report.reasons[0]
    assert not estimate(counts, graph, load_profile("loihi2")).what_if


def test_counts_of_another_graph_are_refused():
    graph = small()
    with pytest.raises(EnergyUnavailable, match="another graph"):
        estimate(counted(graph, inputs_of()), graph.replace(metadata={"a": "b"}), load_profile("loihi1"))


def test_the_report_carries_its_provenance_and_can_be_written():
    graph = small()
    report = estimate(counted(graph, inputs_of((0, 0))), graph, load_profile("loihi2"))
    assert report.provenance["estimated"][0] == "energy.synop"
    assert report.provenance["derived"] == ("power.static_per_chip",)
    assert report.warning
    assert report.scope.startswith("Estimate, not a measurement")
    assert any("hops" in text for text in report.not_counted)
    assert any("embedded" in text for text in report.not_counted)
    written = json.loads(json.dumps(report.to_dict()))
    assert written["total"] == {"lo": report.total.lo, "nominal": report.total.nominal, "hi": report.total.hi}
    assert written["terms"][0]["nominal"] == report.terms[0].nominal
    assert written["terms"][0]["unit"]["src"] == report.terms[0].unit.src
