"""At which activity a chip costs as much as a comparator.

All spikes, the input's included, are multiplied by one factor: synaptic operations, messages, hops and spikes scale with it, updates that
they make active become inactive ones as it falls, and all else stays. The energy is then a straight line in the factor.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from neuromorph.counts import Counts
from neuromorph.energy.comparators import Comparator
from neuromorph.energy.report import EnergyReport
from neuromorph.energy.terms import Term
from neuromorph.graph.graph import Graph

Verdict: TypeAlias = Literal["never", "below", "always"]


@dataclass(frozen=True)
class Meeting:
    """When the chip costs less: `never`, not even silent; `below` the activity given; or `always`, since neurons cannot spike so often.

    `factor`: what all spikes are multiplied by; `rate` [Hz]: mean rate of the neurons that spike; `spikes_per_synapse`: synaptic operations
    per synapse and inference (Dampfhoffer 2023, doi:10.1109/TETCI.2022.3214509, found 0.15 to 1.38 for integrate-and-fire neurons, by its
    own model). None where the verdict is `never`, or spikes cost nothing.
    """

    verdict: Verdict
    factor: float | None
    rate: float | None
    spikes_per_synapse: float | None


@dataclass(frozen=True)
class BreakEven:
    """Where `profile` meets `network` on `machine`, by nominal values: by its `dynamic` energy alone, by the `total` of known scopes."""

    profile: str
    network: str
    machine: str
    dynamic: Meeting
    total: Meeting

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def break_even(report: EnergyReport, counts: Counts, graph: Graph, against: Comparator) -> BreakEven:
    """Where the chip of a report and a comparator meet."""
    dynamic = [t for t in report.terms if t.scope == "dynamic"]
    meetings = (_meeting(factor(terms, against.energy.nominal), counts, graph) for terms in (dynamic, report.terms))
    return BreakEven(report.profile, against.network, against.machine, *meetings)


def factor(terms: Iterable[Term], energy: float) -> float:
    """By what all spikes may be multiplied until the terms cost so much [J]; below 0: a silent network costs more; inf: spikes cost nothing
    and silence less.
    """
    terms = list(terms)
    resting = next((t.unit.v for t in terms if t.quantity == "energy.neuron_update_inactive"), 0.0)
    silent = sum(t.nominal if t.fixed else t.count * resting for t in terms if t.fixed or t.quantity == "energy.neuron_update_active")
    spikes = sum(t.nominal for t in terms) - silent
    if spikes > 1e-9 * silent:
        return (energy - silent) / spikes
    return float("inf") if energy >= silent else float("-inf")


def _meeting(by: float, counts: Counts, graph: Graph) -> Meeting:
    spiking = [p for p in graph.neurons if p.name in counts.rates]
    mean = counts.per_inference()
    steps = sum(p.n for p in spiking) * counts.n_steps
    rate = sum(mean["spikes"][p.name] for p in spiking) / (steps * counts.dt) if steps else 0.0
    per_synapse = sum(mean["synops"].values()) / graph.n_synapses if graph.n_synapses else 0.0
    if by < 0:
        return Meeting("never", None, None, None)
    if by == float("inf"):
        return Meeting("always", None, None, None)
    return Meeting("always" if by * rate * counts.dt > 1 else "below", by, by * rate, by * per_synapse)
