"""Time of an inference on a chip: at every step all wait for the busiest core, the farthest message, the barrier and the host.

t_step = max over cores (synops t_syn + active updates t_act + other updates t_inact) + farthest way + barrier + host, by the times of the
profile. The form is the max-affine one of Timcheck et al. 2026 (arXiv:2601.10035), without its rates; the times are Davies et al. 2018's.
Generating spikes is taken to happen within the update.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neuromorph.energy.terms import Interval
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph.graph import Graph
from neuromorph.hardware import HardwareProfile, Quantity
from neuromorph.mapping.activity import core_activity
from neuromorph.mapping.chip_map import ChipMap
from neuromorph.spikes import Spikes

NEEDED = ("synop", "neuron_update_active", "neuron_update_inactive")
BARRIERS = {"barrier_1_tile": 1, "barrier_2_tiles": 2, "barrier_4_tiles": 4, "barrier_29_tiles": 29}
"""Numbers of tiles; `barrier_all_tiles` is that of the whole chip."""
NOTHING = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Latency:
    """Seconds of the mean inference of `n_samples`, without waiting for real time: `parts`, which add up to `total`; `not_counted`: parts
    for which the profile has no number.
    """

    profile: str
    n_samples: int
    n_steps: int
    parts: Mapping[str, Interval]
    total: Interval
    not_counted: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def latency(graph: Graph, found: ChipMap, spikes: Mapping[str, Spikes], profile: HardwareProfile, *, host: bool = True) -> Latency:
    """The time of a mapped graph by recorded `spikes` of every population that emits any. `host`: an embedded processor feeds the input
    at every step.

    Raises:
        EnergyUnavailable: the profile lacks the time of a synaptic operation or of an update.
    """
    missing = ", ".join(f"time.{name}" for name in NEEDED if name not in profile.time)
    if missing:
        raise EnergyUnavailable(
            f"Profile {profile.id!r} lacks {missing}, without which no time can be told; choose another profile (such as loihi1), or add "
            "the numbers with their sources to a profile of your own."
        )
    first = next(iter(spikes.values()))
    steps = first.n_steps
    work, updates = _cores(graph, found, spikes, profile)
    parts: dict[str, Interval | None] = {
        "busiest core, synaptic operations": work,
        "busiest core, neuron updates": updates,
        "farthest message": _way(found, profile, steps),
        "barrier": _barrier(len(np.unique(found.placement.slot // found.mesh.cores_per_tile)), profile, steps),
    }
    if host:
        parts["host"] = _times(profile.time["host_per_step"], steps) if "host_per_step" in profile.time else None
    known = {name: part for name, part in parts.items() if part is not None}
    return Latency(
        profile.id, first.n_samples, steps, known, sum(known.values(), NOTHING), tuple(name for name in parts if name not in known)
    )


def _cores(graph: Graph, found: ChipMap, spikes: Mapping[str, Spikes], profile: HardwareProfile) -> tuple[Interval, Interval]:
    """Time of the busiest core of every step, summed over the steps of the mean inference: of synaptic operations, of updates."""
    allocated, sums, samples = found.partition.allocated(profile), np.zeros((3, 2)), 0
    for synops, active in core_activity(graph, found.partition, spikes, profile):
        samples += len(synops)
        for k, end in enumerate(("lo", "v", "hi")):
            synop, with_input, without = (getattr(profile.time[name], end) for name in NEEDED)
            work, updates = synops * synop, allocated * without + active * (with_input - without)
            busiest = (work + updates).argmax(2)[..., None]
            sums[k] += np.take_along_axis(work, busiest, 2).sum(), np.take_along_axis(updates, busiest, 2).sum()
    lo, nominal, hi = sums / max(samples, 1)
    return Interval(lo[0], nominal[0], hi[0]), Interval(lo[1], nominal[1], hi[1])


def _way(found: ChipMap, profile: HardwareProfile, steps: int) -> Interval | None:
    """Time of the longest way between two cores in use, or from where spikes enter."""
    if not {"hop_ew", "hop_ns"} <= set(profile.time):
        return None
    slot = np.append(found.placement.slot, 0)
    ew, ns = found.mesh.hops(slot[:, None], slot[None, :])
    farthest = np.unravel_index(np.argmax(ew + ns), ew.shape)
    return _times(profile.time["hop_ew"], steps * int(ew[farthest])) + _times(profile.time["hop_ns"], steps * int(ns[farthest]))


def _barrier(tiles: int, profile: HardwareProfile, steps: int) -> Interval | None:
    """Linear between the numbers of tiles that the profile knows."""
    known = {count: profile.time[name] for name, count in BARRIERS.items() if name in profile.time}
    if "barrier_all_tiles" in profile.time:
        known[profile.limit("tiles")] = profile.time["barrier_all_tiles"]
    if not known:
        return None
    counts = sorted(known)
    lo, nominal, hi = (steps * float(np.interp(tiles, counts, [getattr(known[n], end) for n in counts])) for end in ("lo", "v", "hi"))
    return Interval(lo, nominal, hi)


def _times(q: Quantity, n: int) -> Interval:
    return Interval(q.lo * n, q.v * n, q.hi * n)
