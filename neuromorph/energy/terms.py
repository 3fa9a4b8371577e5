"""Terms of an energy estimate: raw event counts times a profile's energies per event, each with its range."""

from dataclasses import dataclass

from neuromorph.errors import EnergyUnavailable
from neuromorph.hardware import HardwareProfile, Quantity
from neuromorph.hardware.schema import UPDATE_ACCOUNTS


@dataclass(frozen=True)
class Interval:
    """lo <= nominal <= hi, none below 0 [J, s or W]. Bounds of results are those of operands that know nothing of each other."""

    lo: float
    nominal: float
    hi: float

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.lo + other.lo, self.nominal + other.nominal, self.hi + other.hi)

    def __mul__(self, other: "Interval") -> "Interval":
        return Interval(self.lo * other.lo, self.nominal * other.nominal, self.hi * other.hi)

    def __truediv__(self, other: "Interval") -> "Interval":
        return Interval(self.lo / other.hi, self.nominal / other.nominal, self.hi / other.lo)

    @classmethod
    def of(cls, q: Quantity, times: float | int = 1) -> "Interval":
        return cls(q.lo * times, q.v * times, q.hi * times)

    @classmethod
    def exactly(cls, x: float | int) -> "Interval":
        return cls(float(x), float(x), float(x))


@dataclass(frozen=True)
class Events:
    """What one inference (or the mean one) asks of a chip.

    `synops`: synaptic operations; `auxiliary_synops`: those by which an adaptive neuron's spikes feed its further
    compartments; `updates_active`, `updates_inactive`: compartment updates with and without input; `spikes` of neurons;
    `messages`: spikes of neurons and inputs that have a synapse, each counted as one message, or of a mapped graph as one to every core
    and projection that it reaches; `hops_ew`, `hops_ns`: routers that these pass, by direction; `learning_updates`: of plastic synapses.
    """

    synops: float | int = 0
    auxiliary_synops: float | int = 0
    updates_active: float | int = 0
    updates_inactive: float | int = 0
    spikes: float | int = 0
    messages: float | int = 0
    hops_ew: float | int = 0
    hops_ns: float | int = 0
    learning_updates: float | int = 0


@dataclass(frozen=True)
class Term:
    """One line of the breakdown: `count` times `unit`, `lo` <= `nominal` <= `hi` [J].

    `quantity` names the profile's number ("energy.synop"; "energy.sram" is interpolated between those of several sizes). `spread`: what
    the count is multiplied by for `lo` and `hi`, where it is uncertain itself. `fixed`: it would be the same were no neuron to spike.
    """

    scope: str
    name: str
    quantity: str
    count: float | int
    unit: Quantity
    spread: tuple[float, float] = (1.0, 1.0)
    fixed: bool = False

    @property
    def lo(self) -> float:
        return self.count * self.spread[0] * self.unit.lo

    @property
    def nominal(self) -> float:
        return self.count * self.unit.v

    @property
    def hi(self) -> float:
        return self.count * self.spread[1] * self.unit.hi


FIXED = ("neuron_update_inactive", "synapse_learn_update")
"""Events that a silent network has too."""


def price(events: Events, profile: HardwareProfile) -> tuple[Term, ...]:
    """Dynamic energy of raw event counts: required terms, and those for which the profile has a number.

    Raises:
        EnergyUnavailable: the profile has no energy per event, or lacks a required one.
    """
    required = [("synaptic operations", "synop", events.synops)]
    if events.auxiliary_synops:
        required.append(("synaptic operations onto auxiliary compartments", "synop", events.auxiliary_synops))
    if profile.counts_neuron_updates in ("all-allocated", "active-only"):
        required.append(("neuron updates with input", "neuron_update_active", events.updates_active))
    if profile.counts_neuron_updates == "all-allocated":
        required.append(("neuron updates without input", "neuron_update_inactive", events.updates_inactive))
    if events.learning_updates:
        required.append(("learning: updates of plastic synapses", "synapse_learn_update", events.learning_updates))
    refuse_without([name for _, name, _ in required], profile)
    optional = [
        ("spikes generated", "spike_generate", events.spikes),
        ("messages sent", "message_out", events.messages),
        ("messages received", "message_in", events.messages),
        ("messages within a tile", "spike_intra_tile", events.messages),
    ]
    if events.hops_ew or events.hops_ns:
        optional += [("hops east-west", "hop_ew", events.hops_ew), ("hops north-south", "hop_ns", events.hops_ns)]
    lines = [*required, *(line for line in optional if line[1] in profile.energy)]
    return tuple(Term("dynamic", label, f"energy.{name}", count, profile.energy[name], fixed=name in FIXED) for label, name, count in lines)


def refuse_without(names: list[str], profile: HardwareProfile) -> None:
    """Raise EnergyUnavailable if the profile lacks one of these energies, or knows power alone."""
    if profile.counts_neuron_updates == "power-model":
        names = ["synop", "neuron_update_active", "neuron_update_inactive"]
    missing = ", ".join(f"energy.{name}" for name in dict.fromkeys(names) if name not in profile.energy)
    if profile.counts_neuron_updates == "power-model":
        why = f": {UPDATE_ACCOUNTS['power-model']}"
    elif profile.chip_class == "ann-reference":
        why = " is a table for dense networks"
    else:
        why = " is incomplete"
    if missing:
        raise EnergyUnavailable(
            f"Profile {profile.id!r}{why}; it lacks {missing}. Nothing is guessed in their place: choose another profile "
            "(such as loihi1), or add the numbers with their sources to a profile of your own."
        )
