"""Design rules about neurons and synapses: what a graph uses, what a chip has, and what to do where that is too little.

Rules about cores (compartments, axons, memory) are in `mapping.check`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from neuromorph.dataset import ANALOG
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LIF
from neuromorph.hardware import HardwareProfile

Status: TypeAlias = Literal["kept", "split", "broken"]


@dataclass(frozen=True)
class Rule:
    """What `subject` uses of what the chip allows: numbers, or words where the rule is about a form. A rule is `kept`, kept if the
    population is `split` over cores, or `broken`; then `fault` and `remedy` say so in sentences.
    """

    rule: str
    subject: str
    used: int | str
    allowed: int | str
    status: Status
    fault: str = ""
    remedy: str = ""

    @property
    def percent(self) -> float | None:
        """How much of what is allowed is used; None where no number tells."""
        if isinstance(self.used, str) or isinstance(self.allowed, str) or not self.allowed:
            return None
        return 100 * self.used / self.allowed

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "percent": self.percent}

    def __str__(self) -> str:
        return f"{self.subject}: {self.fault} {self.remedy}"


def form_rules(graph: Graph, profile: HardwareProfile) -> list[Rule]:
    """The rules about neuron forms, constants and delays."""
    if not profile.compilable:
        fault = "it names no neuron forms: it is an energy reference, not a chip to compile to."
        return [Rule("neuron forms", f"Profile {profile.id!r}", "spiking", "unknown", "broken", fault, "Use loihi1 or loihi2.")]
    return [rule for check in RULES for rule in check(graph, profile)]


def _input(graph: Graph, profile: HardwareProfile) -> Iterator[Rule]:
    analog = graph.metadata.items() >= ANALOG.items()
    fault = f"it was trained on analog input, and {profile.id} takes spikes."
    yield _rule("input", "Graph", "analog" if analog else "spikes", "spikes", analog, fault, "Train with an encoding into spikes.")


def _forms(graph: Graph, profile: HardwareProfile) -> Iterator[Rule]:
    """Adaptation and reset of each population."""
    adaptations, resets = " or ".join(profile.adaptations) or "none", " or ".join(profile.resets)
    for p in _of(graph, LIF):
        if isinstance(p, ALIF):
            fault = f"{profile.id} has no adaptation by {p.adaptation} (it has: {adaptations})."
            remedy = f"Train with adaptation={adaptations!r}, reset={resets!r}, or choose a chip that has it (loihi2)."
            yield _rule("adaptation", _name(p), p.adaptation, adaptations, p.adaptation not in profile.adaptations, fault, remedy)
        fault = f"{profile.id} cannot reset by {p.reset!r} (it has: {resets})."
        remedy = f"Train with reset={resets!r}, or choose a chip that has it (loihi2)."
        yield _rule("reset", _name(p), p.reset, resets, p.reset not in profile.resets, fault, remedy)
        if p.v_reset.any():
            fault = f"v_reset is {p.v_reset[p.v_reset != 0][0]}; chips reset to 0."
            yield Rule("reset value", _name(p), str(p.v_reset[p.v_reset != 0][0]), "0", "broken", fault, "Shift v so that it resets to 0.")


def _threshold(graph: Graph, profile: HardwareProfile) -> Iterator[Rule]:
    for p in _of(graph, LIF):
        if (p.v_th <= 0).any():
            fault = f"v_th is {p.v_th.min()}; thresholds of a chip are positive."
            yield Rule("threshold", _name(p), str(p.v_th.min()), "> 0", "broken", fault, "Shift v so that its threshold is positive.")


def _numbers(graph: Graph, profile: HardwareProfile) -> Iterator[Rule]:
    """Largest numbers of each population and projection, of those that the profile limits."""
    for p in _of(graph, LIF):
        what = f"n_ref {p.n_ref.max()} exceeds {{}} steps of {profile.id}."
        yield from _at_most(
            "refractory period", _name(p), int(p.n_ref.max()), profile, "refractory_max", what, "Train with a shorter n_ref."
        )
    for q in graph.projections:
        what = f"delay {q.max_delay} exceeds {{}} steps of {profile.id}."
        yield from _at_most("delay", f"Projection {q.name!r}", q.max_delay, profile, "delay_max", what, "Train with shorter delays.")
    if graph.precision == "integer":
        yield from _integers(graph, profile)


def _integers(graph: Graph, profile: HardwareProfile) -> Iterator[Rule]:
    remedy = f"Quantise the float graph for {profile.id}."
    for p in _of(graph, LIF):
        highest, bits = int(p.v_th.max()), profile.limits.get("vth_mantissa_bits")
        if isinstance(bits, int):
            broken = highest >= 2**bits
            yield _rule("threshold", _name(p), highest, 2**bits - 1, broken, f"v_th {highest} exceeds {bits} bits.", remedy)
    for q in graph.projections:
        limits = profile.limits.get("weight_exp")
        if isinstance(limits, tuple) and not limits[0] <= q.weight_exp <= limits[1]:
            fault = f"weight_exp {q.weight_exp} is outside {limits[0]} to {limits[1]} of {profile.id}."
            yield Rule(
                "weight exponent", f"Projection {q.name!r}", str(q.weight_exp), f"{limits[0]} to {limits[1]}", "broken", fault, remedy
            )


RULES: tuple[Callable[[Graph, HardwareProfile], Iterator[Rule]], ...] = (_input, _forms, _threshold, _numbers)


def _of(graph: Graph, kind: Any) -> list[Any]:
    return [p for p in graph.populations if isinstance(p, kind)]


def _name(p: Any) -> str:
    return f"Population {p.name!r}"


def _rule(rule: str, subject: str, used: int | str, allowed: int | str, broken: bool, fault: str, remedy: str) -> Rule:
    return Rule(rule, subject, used, allowed, "broken", fault, remedy) if broken else Rule(rule, subject, used, allowed, "kept")


def _at_most(rule: str, subject: str, used: int, profile: HardwareProfile, limit: str, fault: str, remedy: str) -> Iterator[Rule]:
    if limit in profile.limits:
        allowed = profile.limit(limit)
        yield _rule(rule, subject, used, allowed, used > allowed, fault.format(allowed), remedy)
