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
BARRIERS_OF_CHIPS = {"barrier_all_tiles": 1, "barrier_256_chips": 256, "barrier_768_chips": 768}
NOTHING = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Latency:
    """Seconds of the mean inference of `n_samples`: `parts`, which add up to `total`, without waiting for real time; `wall`: where no step
    is shorter than `step_seconds`. `not_counted`: parts for which the profile has no number.
    """

    graph_digest: str
    profile: str
    n_samples: int
    n_steps: int
    step_seconds: float
    parts: Mapping[str, Interval]
    total: Interval
    wall: Interval
    not_counted: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def latency(
    graph: Graph, found: ChipMap, spikes: Mapping[str, Spikes], profile: HardwareProfile, *, host: bool = True, step_seconds: float = 0.0
) -> Latency:
    """The time of a mapped graph by recorded `spikes` of every population that emits any. `host`: an embedded processor feeds the input
    at every step. `step_seconds`: the least wall time of a step (real time: the graph's dt; 0: as fast as it goes).

    Raises:
        EnergyUnavailable: the profile lacks the time of a synaptic operation or of an update.
    """
    missing = ", ".join(f"time.{name}" for name in NEEDED if name not in profile.time)
    if missing:
        raise EnergyUnavailable(
            f"Profile {profile.id!r} lacks {missing}, without which no time can be told; choose another profile (such as loihi1), or add "
            "the numbers with their sources to a profile of your own."
        )
    first, always = next(iter(spikes.values())), _of_every_step(found, profile, host)
    known = {name: part for name, part in always.items() if part is not None}
    parts, wall = _cores(graph, found, spikes, profile, sum(known.values(), NOTHING), step_seconds)
    parts |= {name: _times(part, first.n_steps) for name, part in known.items()}
    return Latency(
        found.partition.graph_digest,
        profile.id,
        first.n_samples,
        first.n_steps,
        step_seconds,
        parts,
        sum(parts.values(), NOTHING),
        wall,
        tuple(name for name in always if name not in known),
    )


def _cores(
    graph: Graph, found: ChipMap, spikes: Mapping[str, Spikes], profile: HardwareProfile, always: Interval, step_seconds: float
) -> tuple[dict[str, Interval], Interval]:
    """Times of the busiest core of every step, of synaptic operations and of updates; and wall time, where every step takes what is
    `always` needed too, and `step_seconds` at least. All summed over the steps of the mean inference.
    """
    allocated, sums, samples = found.partition.allocated(profile), np.zeros((3, 3)), 0
    for synops, active in core_activity(graph, found.partition, spikes, profile):
        samples += len(synops)
        for k, (end, rest) in enumerate((("lo", always.lo), ("v", always.nominal), ("hi", always.hi))):
            synop, with_input, without = (getattr(profile.time[name], end) for name in NEEDED)
            work, updates = synops * synop, allocated * without + active * (with_input - without)
            busiest = (work + updates).argmax(2)[..., None]
            work, updates = np.take_along_axis(work, busiest, 2), np.take_along_axis(updates, busiest, 2)
            sums[:, k] += work.sum(), updates.sum(), np.maximum(work + updates + rest, step_seconds).sum()
    synaptic, neurons, wall = (Interval(*ends.tolist()) for ends in sums / max(samples, 1))
    return {"busiest core, synaptic operations": synaptic, "busiest core, neuron updates": neurons}, wall


def _of_every_step(found: ChipMap, profile: HardwareProfile, host: bool) -> dict[str, Interval | None]:
    """What every step takes beside the work of the busiest core; None where the profile has no number."""
    tiles = len(np.unique(found.placement.slot // found.mesh.cores_per_tile))
    feeding = {"host": _times(profile.time["host_per_step"]) if "host_per_step" in profile.time else None} if host else {}
    return {"farthest message": _way(found, profile), "barrier": _barrier(tiles, profile), **feeding}


def _way(found: ChipMap, profile: HardwareProfile) -> Interval | None:
    """Time of the longest way between two cores in use, or from where spikes enter."""
    if not {"hop_ew", "hop_ns"} <= set(profile.time):
        return None
    slot = np.append(found.placement.slot, 0)
    ew, ns = found.mesh.hops(slot[:, None], slot[None, :])
    farthest = np.unravel_index(np.argmax(ew + ns), ew.shape)
    return _times(profile.time["hop_ew"], int(ew[farthest])) + _times(profile.time["hop_ns"], int(ns[farthest]))


def _barrier(tiles: int, profile: HardwareProfile) -> Interval | None:
    """Linear between the numbers of tiles that the profile knows."""
    known = {count: profile.time[name] for name, count in BARRIERS.items() if name in profile.time}
    known |= {chips * profile.limit("tiles"): profile.time[name] for name, chips in BARRIERS_OF_CHIPS.items() if name in profile.time}
    if not known:
        return None
    counts = sorted(known)
    return Interval(*(float(np.interp(tiles, counts, [getattr(known[n], end) for n in counts])) for end in ("lo", "v", "hi")))


def _times(x: Quantity | Interval, n: int = 1) -> Interval:
    return Interval(x.lo * n, (x.v if isinstance(x, Quantity) else x.nominal) * n, x.hi * n)
