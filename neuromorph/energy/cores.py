"""Dynamic energy of every core of a mapped graph, without the routers between them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from neuromorph.energy.terms import Events, Interval, Term, price
from neuromorph.errors import EnergyUnavailable
from neuromorph.hardware import HardwareProfile
from neuromorph.mapping.load import CoreLoad


@dataclass(frozen=True)
class CoreEnergy:
    """Joules of the mean inference of `n_samples`, without hops: of each core in the order of the partition, and `outside`, where the
    spikes of inputs are sent. They add up to `total`, the dynamic energy of the whole graph less its hops.
    """

    profile: str
    n_samples: int
    cores: tuple[Interval, ...]
    outside: Interval
    total: Interval

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def core_energy(load: CoreLoad, profile: HardwareProfile) -> CoreEnergy:
    """Price what every core does. To send a message costs its sender, all else about it its receiver.

    Raises:
        EnergyUnavailable: the load is of another chip, or the profile lacks the energy of an event.
    """
    if load.profile != profile.id:
        raise EnergyUnavailable(f"Energy by core: the load is of {load.profile}; map the graph on {profile.id}.")
    cores = tuple(_sum(_terms(load, core, profile)) for core in range(len(load.synops)))
    outside = Events(messages=float(load.messages_in.sum() - load.messages_out.sum()))
    sent = _sum(term for term in price(outside, profile) if term.quantity == "energy.message_out")
    return CoreEnergy(profile.id, load.n_samples, cores, sent, sum(cores, sent))


def _terms(load: CoreLoad, core: int, profile: HardwareProfile) -> Iterable[Term]:
    """A crossbar walks a whole row for every message that arrives."""
    received, active = float(load.messages_in[core]), float(load.updates_active[core])
    row = profile.limit("synops_per_message") if "synops_per_message" in profile.limits else 0
    events = Events(
        synops=max(float(load.synops[core]), received * row),
        auxiliary_synops=float(load.auxiliary_synops[core]),
        updates_active=active,
        updates_inactive=float(load.updates[core]) - active,
        spikes=float(load.spikes[core]),
        messages=received,
    )
    for term in price(events, profile):
        yield replace(term, count=float(load.messages_out[core])) if term.quantity == "energy.message_out" else term


def _sum(terms: Iterable[Term]) -> Interval:
    return sum((Interval(t.lo, t.nominal, t.hi) for t in terms), Interval(0.0, 0.0, 0.0))
