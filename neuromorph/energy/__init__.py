"""Energy and time of inferences on chips, estimated from counted events and hardware profiles."""

from neuromorph.energy.model import EnergyReport, estimate, events_of, fewest_cores

__all__ = ["EnergyReport", "estimate", "events_of", "fewest_cores"]
