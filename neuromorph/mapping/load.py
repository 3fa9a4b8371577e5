"""What a mapped graph asks of its chips: cores that are on, messages and the routers they pass."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Of the mean inference: `messages` between cores and from outside, `hops_ew` and `hops_ns`: routers that they pass east-west and
    north-south. `cores` in use; `compartments` that are updated at every step, in the groups that a chip updates at once.
    """

    graph_digest: str
    profile: str
    cores: int
    compartments: int
    messages: float
    hops_ew: float
    hops_ns: float
