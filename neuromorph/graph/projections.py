"""Projections: sparse synapses between two populations, in CSR by source neuron."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph.plasticity import Plasticity
from neuromorph.graph.populations import Values, read_only
from neuromorph.shapes import Bool, Float64, Int8, Int64

SignMode: TypeAlias = Literal["mixed", "excitatory", "inhibitory"]


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from `source` to `target`: row i of the CSR holds the targets of source neuron i, ascending.

    A spike of source i at step t adds `weights[k]` to the input of neuron `indices[k]` at step `t + delays[k]`,
    delays >= 1. Float graphs hold float64 weights. Integer graphs hold int64 weights of 8 bits (mixed sign: even values
    -256..254; one sign: 0..255 or -255..0), and the sum that arrives in one step is shifted by `weight_exp`
    (`<<`, or floor `>>` where negative). `signs`, where given, are the fixed signs (+1, -1) that training kept. `plasticity`: how the
    synapses change during a sample (`graph.plasticity`).

    Shapes: `indptr` [n_source + 1], all others [n_synapses].
    """

    name: str
    source: str
    target: str
    indptr: Int64[np.ndarray, " rows"]
    indices: Int64[np.ndarray, " synapses"]
    weights: Float64[np.ndarray, " synapses"] | Int64[np.ndarray, " synapses"]
    delays: Int64[np.ndarray, " synapses"]
    weight_exp: int = 0
    signs: Int8[np.ndarray, " synapses"] | None = None
    plasticity: Plasticity | None = None

    def __post_init__(self) -> None:
        for field in ("indptr", "indices", "weights", "delays"):
            object.__setattr__(self, field, read_only(getattr(self, field)))
        if self.signs is not None:
            object.__setattr__(self, "signs", read_only(self.signs))

    @classmethod
    def from_dense(
        cls,
        source: str,
        target: str,
        weights: Values,
        *,
        delays: Values = 1,
        signs: Values | None = None,
        weight_exp: int = 0,
        name: str = "",
    ) -> "Projection":
        """From a matrix [n_source, n_target]; zeros are no synapses. `delays`, `signs`: scalar or matrix.

        (PyTorch layers hold [n_out, n_in]: transpose.)
        """
        matrix = np.asarray(weights)
        if matrix.ndim != 2:
            raise GraphError(f"Projection {source}->{target}: weights have shape {matrix.shape}; give a matrix [n_source, n_target].")
        rows, columns = np.nonzero(matrix)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))])
        kind = np.int64 if np.issubdtype(matrix.dtype, np.integer) else np.float64
        per_synapse = np.broadcast_to(np.asarray(delays, dtype=np.int64), matrix.shape)[rows, columns]
        fixed = None if signs is None else np.broadcast_to(np.asarray(signs, dtype=np.int8), matrix.shape)[rows, columns]
        return cls(
            name or f"{source}->{target}",
            source,
            target,
            indptr.astype(np.int64),
            columns.astype(np.int64),
            matrix[rows, columns].astype(kind),
            per_synapse,
            weight_exp,
            fixed,
        )

    @classmethod
    def from_entries(
        cls, source: str, target: str, n_source: int, rows: Values, columns: Values, weights: Values, *, delays: Values = 1, name: str = ""
    ) -> "Projection":
        """From a weight for each pair of a source neuron (`rows`) and a target neuron (`columns`), in any order; zeros are no synapses.
        `delays`: scalar, or one a weight. A pair that comes twice is refused by the graph.
        """
        values = np.asarray(weights, dtype=np.float64)
        i, j, d = (np.broadcast_to(np.asarray(each, dtype=np.int64), values.shape) for each in (rows, columns, delays))
        order = np.lexsort((j, i))
        order = order[values[order] != 0]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(i[order], minlength=n_source))]).astype(np.int64)
        return cls(name or f"{source}->{target}", source, target, indptr, j[order], values[order], d[order])

    def to_dense(self, n_target: int) -> np.ndarray:
        """The matrix [n_source, n_target] of weights (as stored, before `weight_exp`)."""
        matrix = np.zeros((self.n_source, n_target), dtype=self.weights.dtype)
        matrix[self.rows, self.indices] = self.weights
        return matrix

    @property
    def n_source(self) -> int:
        return len(self.indptr) - 1

    @property
    def n_synapses(self) -> int:
        return len(self.indices)

    @property
    def rows(self) -> np.ndarray:
        """Source neuron of each synapse [n_synapses]."""
        return np.repeat(np.arange(self.n_source), np.diff(self.indptr))

    @property
    def max_delay(self) -> int:
        return int(self.delays.max(initial=1))

    @property
    def sign_mode(self) -> SignMode:
        """Which numbers a chip may store: one-sign projections keep all 8 bits. Follows `signs`, never the weights."""
        if self.signs is None or not len(self.signs) or self.signs.min() != self.signs.max():
            return "mixed"
        return "excitatory" if self.signs[0] > 0 else "inhibitory"

    @property
    def used(self) -> Bool[np.ndarray, " synapses"]:
        """Synapses that may carry anything: of a weight other than 0, or plastic with an alpha other than 0."""
        fixed = self.weights != 0
        return fixed if self.plasticity is None else fixed | (self.plasticity.alpha != 0)

    def fan_out(self) -> np.ndarray:
        """Synapses in use per source neuron [n_source]."""
        return np.bincount(self.rows[self.used], minlength=self.n_source)

    def fan_in(self, n_target: int) -> np.ndarray:
        """Synapses in use per target neuron [n_target]."""
        return np.bincount(self.indices[self.used], minlength=n_target)
