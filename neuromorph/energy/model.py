"""Energy per inference, estimated from exact counts and a hardware profile. An estimate, never a measurement.

Usual practice multiplies synaptic operations by one constant. Neuron updates, messages and static power are then left
out, which on Intel's own LSNN misses the measured energy 39 times over; here each is a term of its own, with a range.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from neuromorph.counts import Counts
from neuromorph.energy.latency import Latency
from neuromorph.energy.memory import price_with_memory
from neuromorph.energy.report import SCOPES, EnergyReport
from neuromorph.energy.terms import Events, Interval, Term, price
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph.graph import Graph
from neuromorph.hardware import HardwareProfile, Quantity
from neuromorph.hardware.schema import UPDATE_ACCOUNTS
from neuromorph.learning import Learning
from neuromorph.mapping.load import Load
from neuromorph.quantize import unsupported

HOPS = {"hop_ew": "east-west", "hop_ns": "north-south"}
ANALYTIC_CLASSES = ("op-count-proxy", "op-and-memory-model", "ann-reference")  # conventions on paper, no chips


def estimate(
    counts: Counts,
    graph: Graph,
    profile: HardwareProfile,
    *,
    load: Load | None = None,
    latency: Latency | None = None,
    learning: Learning | None = None,
    what_if: bool = False,
    step_seconds: float | None = None,
) -> EnergyReport:
    """Estimate the mean energy of one sample of a counted run on a chip.

    `load`: what a map of the graph on this chip asks (`mapping.load_of`): messages to every core, hops, cores in use; without it each
    spike is one message, and the fewest cores that hold the neurons are on. `latency`: the time of the mapped graph
    (`energy.latency.latency`); static power then runs for its wall time. `step_seconds`: without a latency the wall time of a step, by
    default the graph's dt (real time). `learning`: which synapses are plastic, and how often
    they are updated; by default those of the graph's rules at every step. `what_if`: also answer for a chip that lacks a neuron form
    of the graph.

    Raises:
        EnergyUnavailable: the counts, the map or the latency are of another graph or chip; the chip cannot run it and `what_if` is False;
            or the profile lacks a number, named in the message.
        GraphError: `learning` names a projection that the graph lacks.
    """
    _refuse_strangers(counts, graph, profile, load, latency, step_seconds)
    lacking = tuple(unsupported(graph, profile)) if profile.compilable else ()
    if lacking and not what_if:
        raise EnergyUnavailable(f"{lacking[0]} For an estimate as if {profile.id} could, say what_if=True.")
    if profile.chip_class == "op-and-memory-model":
        dynamic = price_with_memory(counts, graph, profile)
    else:
        dynamic = price(events_of(counts, graph, profile, load, learning), profile)
    least = latency.step_seconds if latency else graph.dt if step_seconds is None else step_seconds
    seconds = latency.wall if latency else Interval.exactly(counts.n_steps * least)
    cores = load.cores if load else fewest_cores(graph, profile)
    terms = (*dynamic, *_static(profile, cores, seconds), *_embedded_cpu(profile, counts.n_steps, seconds))
    scopes = {scope: _sum(t for t in terms if t.scope == scope) for scope in SCOPES}
    reasons = lacking or _unknown(profile)
    factor = profile.model_discrepancy
    return EnergyReport(
        profile=profile.id,
        title=profile.title,
        warning=profile.warning,
        scope=" ".join(_explain(profile, counts, cores, seconds, scopes, mapped=load is not None)),
        terms=terms,
        scopes=scopes,
        total=sum((known for known in scopes.values() if known), Interval.exactly(0)),
        whole_chips=_whole_chips(profile, cores, seconds),
        seconds=seconds,
        step_seconds=least,
        latency=latency,
        discrepancy=factor,
        corrected_dynamic=scopes["dynamic"] * Interval.of(factor) if factor and scopes["dynamic"] else None,
        not_counted=_not_counted(profile, scopes, mapped=load is not None),
        what_if=bool(reasons),
        reasons=reasons,
        provenance=_provenance(terms),
    )


def _refuse_strangers(
    counts: Counts, graph: Graph, profile: HardwareProfile, load: Load | None, latency: Latency | None, step_seconds: float | None
) -> None:
    if counts.graph_digest != graph.digest():
        raise EnergyUnavailable("Energy: the counts are of another graph; count the run of this graph, then estimate.")
    if load and (load.graph_digest, load.profile) != (counts.graph_digest, profile.id):
        raise EnergyUnavailable(f"Energy: the map is of another graph or chip ({load.profile}); map this graph on {profile.id}.")
    if latency and (latency.graph_digest, latency.profile, latency.n_steps) != (counts.graph_digest, profile.id, counts.n_steps):
        raise EnergyUnavailable(
            f"Energy: the latency is of another graph, chip or run ({latency.profile}, {latency.n_steps} steps); tell that of this graph "
            f"on {profile.id} over {counts.n_steps} steps."
        )
    if latency and step_seconds not in (None, latency.step_seconds):
        raise EnergyUnavailable(
            f"Energy: step_seconds is {step_seconds}, that of the latency {latency.step_seconds}; give it to one of them."
        )
    if step_seconds is not None and not latency and not 0 < step_seconds < math.inf:
        raise EnergyUnavailable(
            f"Energy: step_seconds is {step_seconds}; give a time above 0, or a latency (of a mapped graph) for steps as fast as they go."
        )


def events_of(counts: Counts, graph: Graph, profile: HardwareProfile, load: Load | None = None, learning: Learning | None = None) -> Events:
    """The mean inference of a counted run in the events of a chip: compartments per neuron, groups of compartments,
    whole crossbar rows; of a mapped graph groups core by core, messages core by core, and hops.
    """
    mean = counts.per_inference()
    size = {p.name: profile.compartments_of(p) for p in graph.populations}
    group = _limit(profile, "compartment_group") or 1
    allocated = (load.compartments if load else group * math.ceil(_compartments(graph, profile) / group)) * counts.n_steps
    active = sum(size[name] * updates for name, updates in mean["active_updates"].items())
    inputs = {p.name for p in graph.inputs}
    messages = sum(mean["messages"].values())
    return Events(
        synops=max(sum(mean["synops"].values()), messages * (_limit(profile, "synops_per_message") or 0)),
        auxiliary_synops=sum((size[name] - 1) * spikes for name, spikes in mean["spikes"].items() if name not in inputs),
        updates_active=active,
        updates_inactive=allocated - active,
        spikes=sum(spikes for name, spikes in mean["spikes"].items() if name not in inputs),
        messages=load.messages if load else messages,
        hops_ew=load.hops_ew if load else 0,
        hops_ns=load.hops_ns if load else 0,
        learning_updates=learning.updates(graph, counts.n_steps)
        if learning
        else sum(mean["eligibility_updates"].values()) + sum(mean["plastic_updates"].values()),
    )


def fewest_cores(graph: Graph, profile: HardwareProfile) -> int | None:
    """Cores that hold the graph's compartments, memory and axons aside; None if the profile does not say."""
    room = _limit(profile, "compartments_per_core")
    return math.ceil(_compartments(graph, profile) / room) if room else None


def _compartments(graph: Graph, profile: HardwareProfile) -> int:
    return sum(p.n * profile.compartments_of(p) for p in graph.neurons)


def _limit(profile: HardwareProfile, name: str) -> int | None:
    return profile.limit(name) if name in profile.limits else None


def _static(profile: HardwareProfile, cores: int | None, seconds: Interval) -> Iterator[Term]:
    """Static power over the run: of the cores used where known per core, else of whole chips."""
    if cores and (per_core := profile.power.get("static_per_core")):
        yield _lasting("static", f"static power, {cores} core(s) [core s]", "power.static_per_core", cores, per_core, seconds)
    elif cores and (per_chip := profile.power.get("static_per_chip")):
        chips = _chips(profile, cores)
        yield _lasting("static", f"static power, {chips} chip(s) [chip s]", "power.static_per_chip", chips, per_chip, seconds)
    elif profile.counts_neuron_updates == "folded-into-static":
        raise EnergyUnavailable(
            f"Profile {profile.id!r}: neuron updates are part of its static power, but it lacks power.static_per_chip or "
            "limits.compartments_per_core; add them with their sources."
        )


def _lasting(scope: str, name: str, quantity: str, many: int, power: Quantity, seconds: Interval) -> Term:
    """A power that flows for the wall time."""
    spread = seconds.lo / seconds.nominal, seconds.hi / seconds.nominal
    return Term(scope, name, quantity, many * seconds.nominal, power, spread, fixed=True)


def _whole_chips(profile: HardwareProfile, cores: int | None, seconds: Interval) -> Interval | None:
    """Static energy of all cores of as many chips as are needed."""
    if not cores or "cores_per_chip" not in profile.limits:
        return None
    chips = _chips(profile, cores)
    if per_chip := profile.power.get("static_per_chip"):
        return Interval.of(per_chip, chips) * seconds
    if per_core := profile.power.get("static_per_core"):
        return Interval.of(per_core, chips * profile.limit("cores_per_chip")) * seconds
    return None


def _chips(profile: HardwareProfile, cores: int) -> int:
    return math.ceil(cores / (_limit(profile, "cores_per_chip") or cores))


def _embedded_cpu(profile: HardwareProfile, n_steps: int, seconds: Interval) -> Iterator[Term]:
    """The embedded processor that feeds the input, where someone measured it."""
    if step := profile.energy.get("embedded_cpu_step"):
        yield Term("embedded_cpu", "embedded processor, steps", "energy.embedded_cpu_step", n_steps, step, fixed=True)
    if static := profile.power.get("embedded_cpu_static"):
        name = "embedded processor, static power [s]"
        yield _lasting("embedded_cpu", name, "power.embedded_cpu_static", 1, static, seconds)


def _sum(terms: Iterable[Term]) -> Interval | None:
    """The sum; None of no terms."""
    known = [Interval(t.lo, t.nominal, t.hi) for t in terms]
    return sum(known, Interval.exactly(0)) if known else None


def _unknown(profile: HardwareProfile) -> tuple[str, ...]:
    """A chip that neuromorph cannot compile to may not hold the network at all."""
    if profile.compilable or profile.chip_class in ANALYTIC_CLASSES:
        return ()
    return (f"neuromorph does not compile to {profile.id}; whether it can hold this network was not checked.",)


def _explain(
    profile: HardwareProfile,
    counts: Counts,
    cores: int | None,
    seconds: Interval,
    scopes: Mapping[str, Interval | None],
    *,
    mapped: bool,
) -> Iterator[str]:
    """What the numbers are, in plain words."""
    yield (
        f"Estimate, not a measurement: mean energy of one inference ({counts.n_steps} steps) over {counts.n_samples} samples, "
        f"from recorded spikes and the profile {profile.id}."
    )
    yield f"dynamic: events times energy per event; neuron updates: {UPDATE_ACCOUNTS[profile.counts_neuron_updates]}."
    if scopes["static"]:
        on = f"the cores in use ({cores})" if mapped else f"the fewest cores that hold the neurons ({cores})"
        yield f"static: {on}, powered for {seconds.nominal:.4g} s; whole chips where only these are known."
    if scopes["embedded_cpu"]:
        yield "embedded_cpu: the chip's own processor feeding the input at every step."


def _not_counted(profile: HardwareProfile, scopes: Mapping[str, Interval | None], *, mapped: bool) -> tuple[str, ...]:
    """What the estimate leaves out, in words."""
    left_out = ["host computer, input and output of the chip", "encoding of the input into spikes"]
    if profile.chip_class not in ANALYTIC_CLASSES:
        if mapped:
            left_out += ["relays for the input"]
            left_out += [f"hops {way} (no number in the profile)" for name, way in HOPS.items() if name not in profile.energy]
        else:
            left_out += [
                "hops between cores and further messages of a spike to several cores (no map)",
                "cores beyond the fewest that hold the neurons, relays for the input (no map)",
            ]
        if not {"spike_generate", "message_out"} & set(profile.energy):
            left_out.append("generation of spikes (no number in the profile, or part of another)")
    if profile.counts_neuron_updates == "not-counted":
        left_out.append("neuron updates, memory accesses")
    if profile.chip_class == "op-and-memory-model":
        left_out.append("control, the network between units, reads of the neurons' constants")
    if not scopes["static"]:
        left_out.append("static power (no number in the profile)")
    if not scopes["embedded_cpu"]:
        left_out.append("embedded processors (no number in the profile)")
    return tuple(left_out)


def _provenance(terms: tuple[Term, ...]) -> dict[str, tuple[str, ...]]:
    """Names of the numbers used, by how they are known."""
    kinds = dict.fromkeys(term.unit.kind for term in terms)
    return {kind: tuple(dict.fromkeys(t.quantity for t in terms if t.unit.kind == kind)) for kind in kinds}
