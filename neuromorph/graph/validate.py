"""What makes a graph a graph: one function a rule. `Graph` calls `check` when it is made, so none is ever invalid."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph.names import NAME
from neuromorph.graph.populations import ADAPTATIONS, ALIF, LI, LIF, RESETS, Input, Population, parameters
from neuromorph.graph.projections import Projection
from neuromorph.graph.validate_plasticity import rule_faults

INTEGER_RANGES = {
    "decay_v": (1, 4096, "12-bit decay dv = 4096 - decay_v"),
    "decay_u": (0, 4095, "12-bit decay du = 4095 - decay_u"),
    "decay_a": (1, 4095, "12-bit decay"),
    "gain": (1, 1, "gain is folded into the weights of an integer graph"),
    "bias": (-(2**23), 2**23 - 1, "24-bit state"),
    "v_th": (0, 2**17 - 1, "17-bit mantissa"),
    "v_reset": (0, 0, "integer graphs reset to 0"),
    "kappa": (0, 2**23 - 1, "24-bit state"),
}
MAX_NEURONS = 2**31 - 1  # spikes are int32
MAX_DELAY = 2**16 - 1  # steps
MAX_TEXT = 60_000  # bytes of one metadata entry
WEIGHT_RANGES = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-255, 0)}

Parts: TypeAlias = tuple[float, Sequence[Population], Sequence[Projection], Mapping[str, str]]
Rule: TypeAlias = Callable[[Parts], Iterator[str]]


def check(dt: float, populations: Sequence[Population], projections: Sequence[Projection], metadata: Mapping[str, str]) -> None:
    """Raise GraphError with the first broken rule."""
    for rule in RULES:
        for complaint in rule((dt, populations, projections, metadata)):
            raise GraphError(complaint)


def precision_of(populations: Sequence[Population], projections: Sequence[Projection]) -> str:
    """ "integer" if any array of constants or weights is an integer one, else "float"."""
    for population in populations:
        for field, array in parameters(population).items():
            if field != "n_ref" and array.dtype == np.int64:
                return "integer"
    return "integer" if any(p.weights.dtype == np.int64 for p in projections) else "float"


def _dt(parts: Parts) -> Iterator[str]:
    if not (np.isfinite(parts[0]) and parts[0] > 0):
        yield f"Graph: dt is {parts[0]}; it must be a positive number of seconds (1e-3 for 1 ms)."


def _names(parts: Parts) -> Iterator[str]:
    for kind, items in (("Population", parts[1]), ("Projection", parts[2])):
        seen: set[str] = set()
        for item in items:
            if not NAME.fullmatch(item.name):
                yield f"{kind} {item.name!r}: a name has 1-128 of the characters A-Z a-z 0-9 _ . > - and starts with a letter, digit or _."
            if item.name in seen:
                yield f"{kind} {item.name!r} occurs twice; names must be unique."
            seen.add(item.name)


def _sizes(parts: Parts) -> Iterator[str]:
    for population in parts[1]:
        if not 1 <= population.n <= MAX_NEURONS:
            yield f"Population {population.name!r}: n is {population.n}; it must be 1..{MAX_NEURONS}."
        for field, array in parameters(population).items():
            if array.shape != (population.n,):
                yield f"Population {population.name!r}: {field} has shape {array.shape}; give one value a neuron, ({population.n},)."


def _dtypes(parts: Parts) -> Iterator[str]:
    precision = precision_of(parts[1], parts[2])
    wanted = np.dtype(np.int64 if precision == "integer" else np.float64)
    for population in parts[1]:
        for field, array in parameters(population).items():
            expected = np.dtype(np.int64) if field == "n_ref" else wanted
            if array.dtype != expected:
                yield f"Population {population.name!r}: {field} is {array.dtype}; this is a graph of {precision}s, give {expected}."
    for projection in parts[2]:
        if projection.weights.dtype != wanted:
            yield f"Projection {projection.name!r}: weights are {projection.weights.dtype}; this is a graph of {precision}s, give {wanted}."
        for field in ("indptr", "indices", "delays"):
            if getattr(projection, field).dtype != np.int64:
                yield f"Projection {projection.name!r}: {field} is {getattr(projection, field).dtype}; give int64."
        if projection.signs is not None and projection.signs.dtype != np.int8:
            yield f"Projection {projection.name!r}: signs are {projection.signs.dtype}; give int8."


def _finite(parts: Parts) -> Iterator[str]:
    for population in parts[1]:
        for field, array in parameters(population).items():
            if not np.isfinite(array).all():
                where = int(np.flatnonzero(~np.isfinite(array))[0])
                yield f"Population {population.name!r}: {field}[{where}] is {array[where]}; constants must be finite."
    for projection in parts[2]:
        if not np.isfinite(projection.weights).all():
            where = int(np.flatnonzero(~np.isfinite(projection.weights))[0])
            yield f"Projection {projection.name!r}: weights[{where}] is {projection.weights[where]}; weights must be finite."


def _forms(parts: Parts) -> Iterator[str]:
    for population in parts[1]:
        if isinstance(population, LIF) and population.reset not in RESETS:
            yield f"Population {population.name!r}: reset is {population.reset!r}; allowed: {', '.join(RESETS)}."
        if isinstance(population, ALIF) and population.adaptation not in ADAPTATIONS:
            yield f"Population {population.name!r}: adaptation is {population.adaptation!r}; allowed: {', '.join(ADAPTATIONS)}."
        if isinstance(population, LIF) and (population.n_ref < 0).any():
            yield f"Population {population.name!r}: n_ref has {population.n_ref.min()}; refractory steps are 0 or more."


def _decays(parts: Parts) -> Iterator[str]:
    if precision_of(parts[1], parts[2]) == "integer":
        return
    for population in parts[1]:
        for field, array in parameters(population).items():
            if field.startswith("decay") and (outside := (array < 0) | (array > 1) | ((array == 1) & (field != "decay_v"))).any():
                range_ = "[0, 1], 1 for a membrane that does not leak" if field == "decay_v" else "[0, 1)"
                yield f"Population {population.name!r}: {field} has {array[outside][0]}; a per-step decay factor lies in {range_}."


def _integer_ranges(parts: Parts) -> Iterator[str]:
    if precision_of(parts[1], parts[2]) != "integer":
        return
    for population in parts[1]:
        for field, array in parameters(population).items():
            low, high, why = INTEGER_RANGES.get(field, (0, 2**31, "32-bit counter"))
            if ((array < low) | (array > high)).any():
                worst = array[(array < low) | (array > high)][0]
                yield f"Population {population.name!r}: {field} has {worst}; allowed in an integer graph: {low}..{high}, {why}."


def _integer_weights(parts: Parts) -> Iterator[str]:
    for projection in parts[2]:
        if projection.weights.dtype != np.int64:
            if projection.weight_exp:
                yield f"Projection {projection.name!r}: weight_exp is {projection.weight_exp}; a float graph has none, set 0."
            continue
        low, high = WEIGHT_RANGES[projection.sign_mode]
        outside = (projection.weights < low) | (projection.weights > high)
        if outside.any():
            yield (
                f"Projection {projection.name!r}: weight {projection.weights[outside][0]} does not fit 8 bits; "
                f"{projection.sign_mode} weights lie in {low}..{high}. Quantise with a smaller scale or larger weight_exp."
            )
        if projection.sign_mode == "mixed" and (projection.weights % 2).any():
            odd = projection.weights[projection.weights % 2 != 0][0]
            yield f"Projection {projection.name!r}: weight {odd} is odd; mixed-sign 8-bit weights are even (the sign takes one bit)."
        if not -16 <= projection.weight_exp <= 16:
            yield f"Projection {projection.name!r}: weight_exp is {projection.weight_exp}; allowed: -16..16."


def _ends(parts: Parts) -> Iterator[str]:
    known = {p.name: p for p in parts[1]}
    for projection in parts[2]:
        for end in ("source", "target"):
            if getattr(projection, end) not in known:
                yield f"Projection {projection.name!r}: {end} {getattr(projection, end)!r} is no population; there are {', '.join(known)}."
        if isinstance(known[projection.source], LI):
            yield f"Projection {projection.name!r}: source {projection.source!r} is a readout (LI), which never spikes."
        if isinstance(known[projection.target], Input):
            yield f"Projection {projection.name!r}: target {projection.target!r} is an Input, whose spikes are data."


def _csr(parts: Parts) -> Iterator[str]:
    size = {p.name: p.n for p in parts[1]}
    for p in parts[2]:
        place = f"Projection {p.name!r}"
        if p.indptr.shape != (size[p.source] + 1,):
            yield f"{place}: indptr has shape {p.indptr.shape}; {p.source!r} has {size[p.source]} neurons, give ({size[p.source] + 1},)."
        elif p.indptr[0] != 0 or p.indptr[-1] != len(p.indices) or (np.diff(p.indptr) < 0).any():
            yield f"{place}: indptr must start at 0, never fall and end at {len(p.indices)} (the number of indices)."
        elif not p.indices.shape == p.weights.shape == p.delays.shape:
            yield f"{place}: indices {p.indices.shape}, weights {p.weights.shape} and delays {p.delays.shape} must have one shape."
        elif ((p.indices < 0) | (p.indices >= size[p.target])).any():
            yield f"{place}: indices reach {p.indices.max()} (lowest {p.indices.min()}); {p.target!r} has neurons 0..{size[p.target] - 1}."
        elif len(p.indices) > 1 and (np.diff(p.rows * size[p.target] + p.indices) <= 0).any():
            yield f"{place}: the targets of one source must ascend without repeats; sort each row and merge duplicates."


def _delays(parts: Parts) -> Iterator[str]:
    for projection in parts[2]:
        outside = (projection.delays < 1) | (projection.delays > MAX_DELAY)
        if outside.any():
            yield (
                f"Projection {projection.name!r}: delay {projection.delays[outside][0]}; allowed: 1..{MAX_DELAY} steps "
                "(every projection costs at least one step)."
            )


def _signs(parts: Parts) -> Iterator[str]:
    for projection in parts[2]:
        signs = projection.signs
        if signs is None:
            continue
        if signs.shape != projection.weights.shape or not np.isin(signs, (-1, 1)).all():
            yield f"Projection {projection.name!r}: signs must be +1 or -1, one a synapse ({projection.n_synapses})."
        elif (projection.weights * signs < 0).any():
            k = int(np.flatnonzero(projection.weights * signs < 0)[0])
            yield f"Projection {projection.name!r}: weights[{k}] = {projection.weights[k]} against its sign {signs[k]:+d}; set it to 0."


def _plasticity(parts: Parts) -> Iterator[str]:
    for projection in parts[2]:
        if projection.plasticity is not None:
            place = f"Projection {projection.name!r}"
            yield from (f"{place}: {fault}" for fault in rule_faults(projection, projection.plasticity, {p.name: p for p in parts[1]}))


def _metadata(parts: Parts) -> Iterator[str]:
    for key, text in parts[3].items():
        if not NAME.fullmatch(key):
            yield f"Metadata {key!r}: a key has 1-128 of the characters A-Z a-z 0-9 _ . > - and starts with a letter, digit or _."
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            yield f"Metadata {key!r}: the text holds a lone surrogate, which UTF-8 has no form for; decode it properly."
            return
        if "\0" in text or size > MAX_TEXT:
            yield f"Metadata {key!r}: the text has {size} bytes; allowed: at most {MAX_TEXT}, no NUL. Keep long texts elsewhere."


RULES: tuple[Rule, ...] = (
    _dt,
    _names,
    _sizes,
    _dtypes,
    _finite,
    _forms,
    _decays,
    _integer_ranges,
    _ends,
    _csr,
    _delays,
    _signs,
    _integer_weights,
    _plasticity,
    _metadata,
)
