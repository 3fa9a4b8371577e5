"""Energy and time of inferences on chips, estimated from counted events and hardware profiles."""

from neuromorph.energy.model import estimate, events_of, fewest_cores
from neuromorph.energy.report import EnergyReport

__all__ = ["EnergyReport", "estimate", "events_of", "fewest_cores"]
