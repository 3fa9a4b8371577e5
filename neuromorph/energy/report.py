"""What an estimate says: breakdown, scopes, time, power, and what it leaves out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neuromorph.energy.latency import Latency
from neuromorph.energy.terms import Interval, Term
from neuromorph.hardware import Quantity

SCOPES = ("dynamic", "static", "embedded_cpu")


@dataclass(frozen=True)
class EnergyReport:
    """Energy per inference [J] on one chip.

    `terms`: the breakdown; `scopes`: its sums, `dynamic`, `static` and `embedded_cpu`, None where the profile has no numbers; `total`: the
    sum of those that are known. `whole_chips`: static energy were all cores of the chips on, beside the total and not in it.

    `seconds`: wall time of the inference, during which static power runs; `step_seconds`: the least that a step takes (real time: the
    graph's dt); `latency`: the time that the chip needs, where it was asked for. `power` [W] and `edp` [J s]: the total over the wall
    time, and times it.

    `discrepancy`: measured over predicted dynamic energy where someone measured, `corrected_dynamic`: the dynamic energy times that, beside
    the total and not in it. `not_counted`: what is left out, in words. `what_if`: the chip cannot run this very network, or is not known
    to; `reasons` say why. `provenance`: which numbers were published, derived, estimated.
    """

    profile: str
    title: str
    warning: str
    scope: str
    terms: tuple[Term, ...]
    scopes: Mapping[str, Interval | None]
    total: Interval
    whole_chips: Interval | None
    seconds: Interval
    step_seconds: float
    latency: Latency | None
    discrepancy: Quantity | None
    corrected_dynamic: Interval | None
    not_counted: tuple[str, ...]
    what_if: bool
    reasons: tuple[str, ...]
    provenance: Mapping[str, tuple[str, ...]]

    @property
    def dynamic(self) -> Interval:
        known = self.scopes["dynamic"]
        assert known is not None, "an estimate without dynamic energy is refused"
        return known

    @property
    def power(self) -> Interval:
        return self.total / self.seconds

    @property
    def edp(self) -> Interval:
        return self.total * self.seconds

    @property
    def unknown(self) -> tuple[str, ...]:
        """Scopes that the total lacks."""
        return tuple(scope for scope, sums in self.scopes.items() if sums is None)

    def to_dict(self) -> dict[str, Any]:
        terms = [{**asdict(term), "lo": term.lo, "nominal": term.nominal, "hi": term.hi} for term in self.terms]
        return {**asdict(self), "terms": terms, "power": asdict(self.power), "edp": asdict(self.edp), "unknown": self.unknown}

    def __str__(self) -> str:
        low, nominal, high = (f"{1e6 * x:.3g}" for x in (self.total.lo, self.total.nominal, self.total.hi))
        mark = "; WHAT IF: the chip is not known to run this network" if self.what_if else ""
        without = f" without {', '.join(self.unknown)} (unknown)" if self.unknown else ""
        return f"{self.profile}: {nominal} uJ per inference{without}, {low} to {high} (estimate{mark})"
