"""The grid of a chip's numbers: what an integer unit means in floats."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuromorph.errors import QuantizationError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import Neurons, replace

METADATA = "grid"


@dataclass(frozen=True)
class Grid:
    """`scales`: integer units of v for one unit of float v, by population. `exponents`: `weight_exp`, by projection.

    What is not named, `quantize` chooses. A float graph may carry the grid it was trained on in its metadata.

    Raises:
        QuantizationError: a scale is not a positive number.
    """

    scales: Mapping[str, float] = field(default_factory=dict[str, float])
    exponents: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        for name, scale in self.scales.items():
            if not 0 < scale < np.inf:
                raise QuantizationError(f"Grid: the scale of {name!r} is {scale}; give a positive number (integer units per unit of v).")

    @classmethod
    def of(cls, integer: Graph) -> "Grid":
        """The grid of a graph that `quantize` made."""
        scales = {name.removeprefix("scale."): float(text) for name, text in integer.metadata.items() if name.startswith("scale.")}
        return cls(scales, {q.name: q.weight_exp for q in integer.projections})

    @classmethod
    def carried_by(cls, graph: Graph, profile: str) -> "Grid":
        """The grid for that profile in a graph's metadata, what it says of the graph's own parts; an empty one where there is none.

        Raises:
            QuantizationError: the entry cannot be read.
        """
        try:
            entry: dict[str, Any] = json.loads(graph.metadata.get(METADATA, "{}"))
            if entry.get("profile") != profile:
                return cls()
            scales = {p.name: float(entry["scales"][p.name]) for p in graph.populations if p.name in entry["scales"]}
            return cls(scales, {q.name: int(entry["exponents"][q.name]) for q in graph.projections if q.name in entry["exponents"]})
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise QuantizationError(f"Graph: its metadata {METADATA!r} holds no grid ({error!r}); take the entry out.") from error

    def to_metadata(self, profile: str) -> dict[str, str]:
        """The entry that `carried_by` reads."""
        entry = {"profile": profile, "scales": dict(self.scales), "exponents": dict(self.exponents)}
        return {METADATA: json.dumps(entry, sort_keys=True)}

    def check(self, graph: Graph, exponents: tuple[int, int]) -> None:
        """Raise QuantizationError for a name that the graph lacks or an exponent beyond the chip's lowest and highest."""
        known = {p.name for p in graph.populations} | {q.name for q in graph.projections}
        if unknown := (set(self.scales) | set(self.exponents)) - known:
            raise QuantizationError(f"Grid: {', '.join(sorted(unknown))} not in the graph, which has {', '.join(sorted(known))}.")
        for name, exponent in self.exponents.items():
            if not exponents[0] <= exponent <= exponents[1]:
                raise QuantizationError(f"Grid: weight_exp of {name!r} is {exponent}; the chip has {exponents[0]} to {exponents[1]}.")


def dequantize(p: Neurons, like: Neurons, scale: float) -> Neurons:
    """The float population whose constants are exactly those of the integer population `p`; gains are those of `like`.

    A decay of exactly 0 stays so; a chip's least, 1/4096, stands for it.
    """
    decays = {name: _decay(getattr(p, name), getattr(like, name)) for name in ("decay_v", "decay_u", "decay_a") if hasattr(p, name)}
    units = {"bias": 1, "v_th": 64, "kappa": 1}
    levels = {name: getattr(p, name) * unit / scale for name, unit in units.items() if hasattr(p, name)}
    return replace(like, **decays, **levels)


def _decay(integer: np.ndarray, exact: np.ndarray) -> np.ndarray:
    return np.where(exact == 0, 0.0, integer / 4096)
