"""Where Lava's own processes compute exactly what the graph says, and the constants they then take."""

import numpy as np

from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF
from neuromorph.graph.projections import Projection

INT32_MAX = 2**31 - 1
MANTISSA = 2**12  # bias_mant: 13 bits with sign
EXPONENTS = range(8)  # bias_exp: 3 bits


def heaviest_sum(graph: Graph, population: str) -> int:
    """Largest |input| that one step can bring to a neuron of an integer graph (every synapse at once, plastic parts at their clip); 0
    in float graphs.

    Raises:
        BackendError: it does not fit the 32-bit messages of Lava's connections.
    """
    if graph.precision == "float":
        return 0
    n = graph.population(population).n
    total = np.zeros(n, dtype=np.int64)
    for q in graph.incoming(population):
        total += _heaviest(q, np.abs(q.weights), q.weight_exp, n)
        if q.plasticity and q.plasticity.fixed:
            total += _heaviest(q, np.abs(q.plasticity.alpha) * int(q.plasticity.clip), q.plasticity.fixed.alpha_exp, n)
    heaviest = int(total.max(initial=0))
    if heaviest > INT32_MAX:
        raise BackendError(
            f"lava: the synapses onto {population!r} can sum to {heaviest} in one step; Lava's messages hold {INT32_MAX}. "
            "Quantise with a smaller weight_exp, or run this graph on the reference backend."
        )
    return heaviest


def _heaviest(q: Projection, values: np.ndarray, exponent: int, n: int) -> np.ndarray:
    """Sums of all values onto each of `n` targets, shifted by the exponent."""
    sums = np.bincount(q.indices, weights=values, minlength=n).astype(np.int64)
    return sums << exponent if exponent >= 0 else (sums >> -exponent) + 1


def is_stock_lif(p: LIF, heaviest: int) -> bool:
    """Whether Lava's LIF computes this population: hard reset to 0, no refractoriness or adaptation, one decay and threshold.

    In integers the bias must also fit Lava's mantissa and exponent, and the `heaviest` input its 32-bit arithmetic.
    """
    same = all((x == x[0]).all() for x in (p.decay_v, p.decay_u, p.v_th))
    if type(p) is not LIF or p.reset != "to_value" or p.n_ref.any() or p.v_reset.any() or not same:
        return False
    return p.decay_v.dtype == np.float64 or (bias_words(p.bias) is not None and (heaviest << 6) + 2**23 <= INT32_MAX)


def lif_constants(p: LIF) -> tuple[dict[str, int | float], dict[str, np.ndarray]]:
    """Arguments and arrays of Lava's LIF; the gain of floats is folded into the weights."""
    if p.decay_v.dtype == np.float64:
        scalars = {"du": 1 - float(p.decay_u[0]), "dv": 1 - float(p.decay_v[0]), "vth": float(p.v_th[0])}
        return scalars, {"bias_mant": p.bias}
    words = bias_words(p.bias)
    assert words is not None
    return {"du": 4095 - int(p.decay_u[0]), "dv": 4096 - int(p.decay_v[0]), "vth": int(p.v_th[0])}, dict(
        zip(("bias_mant", "bias_exp"), words)
    )


def bias_words(bias: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Mantissa (13 bits) and exponent (3 bits) with `mantissa << exponent == bias`, or None where some bias has none."""
    mantissas = np.stack([bias >> e for e in EXPONENTS])
    fits = np.stack([(m << e == bias) & (m >= -MANTISSA) & (m < MANTISSA) for e, m in zip(EXPONENTS, mantissas)])
    if not fits.any(axis=0).all():
        return None
    exponent = fits.argmax(axis=0)
    return np.take_along_axis(mantissas, exponent[None], axis=0)[0], exponent


def transposed(q: Projection, weights: np.ndarray, n_target: int) -> dict[str, np.ndarray]:
    """CSR arrays of the matrix [n_target, n_source] that Lava's Sparse takes, without zeros."""
    rows, columns, values = (x[weights != 0] for x in (q.indices, q.rows, weights))
    order = np.lexsort((columns, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_target))])
    return {"indptr": indptr, "indices": columns[order], "data": values[order]}
