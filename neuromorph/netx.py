"""Plain LIF chains as netx files, which lava-dl's `netx.hdf5.Network` turns into Lava processes (layout of lava-dl 0.6.0).

A netx layer holds one dense matrix of integer weights, one more for recurrence, and one constant of each kind for all its
neurons, of the CUBA type: lines 1-6 of this project's integer step with reset to 0. There is no exponent, so the weights
written are `weights << weight_exp`, and netx chooses shifts of its own when it loads them. Step t of a simulator here
(t = 0, 1, ...) is Lava's step t + 1, which Lava counts from 1: the input, every layer and every recurrence cost one step in both.
"""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import h5py
import numpy as np

from neuromorph.errors import GraphError
from neuromorph.files import atomic_write
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, LIF
from neuromorph.graph.projections import Projection
from neuromorph.grid import Grid
from neuromorph.hardware import HardwareProfile
from neuromorph.quantize import largest_scale
from neuromorph.shapes import Int64

Readout: TypeAlias = Literal["refuse", "drop", "silent"]
Matrix: TypeAlias = Int64[np.ndarray, "_ _"]
"""[targets, sources]"""

MAX_DELAY = 63  # netx holds 0 to 62, one less than the steps that a spike takes
SILENT = 2**17 - 1  # the highest threshold mantissa
BIAS_EXPONENT = 6  # netx gives every layer this one
BIAS_MANTISSA = (-(2**12), 2**12 - 1)
REMEDY = "Quantise the float graph with `grid=netx_grid(graph, profile)`."


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons with the weights onto them [targets, sources]; `delay`: steps beyond the first."""

    neurons: LIF | LI
    weight: Matrix
    weight_rec: Matrix | None
    delay: Matrix | None


def save_netx(path: str | os.PathLike[str], graph: Graph, *, readout: Readout = "refuse") -> tuple[str, ...]:
    """Write an integer graph Input -> LIF (-> LIF ...), each LIF with or without recurrence, as a netx file, atomically.

    Returns the population of each layer of the file.

    `readout`: what becomes of an LI, which netx lacks. "refuse" it; "drop" it; or write it as a last LIF layer that is
    "silent" but for |v| at the end of its range, whose v is read from Lava (v equals ours while below 2^23 - 64).

    Raises:
        GraphError: the graph holds something that a netx file cannot (the population or projection is named), or that
            netx would load as other numbers than those written.
    """
    layers = tuple(_layers(graph, readout))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _write_input(file.create_group("layer/0"), graph.inputs[0].n)
        for index, layer in enumerate(layers, 1):
            _write_dense(file.create_group(f"layer/{index}"), layer)
    atomic_write(path, buffer.getvalue())
    return graph.inputs[0].name, *(layer.neurons.name for layer in layers)


def netx_grid(graph: Graph, profile: HardwareProfile) -> Grid:
    """Scales that make every weight of a float graph fit netx's 8 bits, to quantise it with.

    Exponents are 0, or 1 where weights of one sign would use a last bit that netx cannot load (see `as_loaded`).
    """
    scales: dict[str, float] = {}
    exponents: dict[str, int] = {}
    for p in graph.neurons:
        incoming = graph.incoming(p.name)
        heaviest = max((float(np.abs(q.weights * p.gain[q.indices]).max(initial=0)) for q in incoming), default=0.0)
        scale = largest_scale(graph, p, profile)
        scales[p.name] = min(scale, 64 * 254 / heaviest) if heaviest else scale
        for q in incoming:
            exponents[q.name] = int(q.sign_mode == "inhibitory" or (q.sign_mode == "excitatory" and len(incoming) > 1))
    return Grid(scales, exponents)


def _layers(graph: Graph, readout: Readout) -> Iterator[Layer]:
    """The chain from the Input on, checked link by link."""
    if graph.precision != "integer":
        raise GraphError(f"Graph: it holds floats, netx files integers. {REMEDY}")
    if graph.plastic:
        raise GraphError(f"Projection {graph.plastic[0].name!r}: it is plastic, which netx lacks; use the Lava backend.")
    if len(graph.inputs) != 1:
        raise GraphError(f"Graph: it has {len(graph.inputs)} Inputs; netx allows one. Join them into one Input.")
    kept = [p for p in graph.neurons if not (isinstance(p, LI) and readout == "drop")]
    projections = [q for q in graph.projections if q.target in {p.name for p in kept}]
    source, left = graph.inputs[0].name, {p.name: p for p in kept}
    if not left:
        raise GraphError("Graph: it has no LIF population; a netx file needs one at least.")
    while left:
        onward = sorted({q.target for q in projections if q.source == source and q.target != source})
        if len(onward) != 1 or onward[0] not in left:
            raise GraphError(
                f"Population {source!r}: it projects to {', '.join(map(repr, onward)) or 'nothing'} while {', '.join(map(repr, left))} "
                "are to be written; netx allows a chain, each population with one successor."
            )
        p = left.pop(onward[0])
        _check_neurons(p, readout)
        yield _layer(p, source, [q for q in projections if q.target == p.name])
        source = p.name


def _check_neurons(p: LIF | LI, readout: Readout) -> None:
    place = f"Population {p.name!r}"
    if isinstance(p, ALIF):
        raise GraphError(f"{place}: it is ALIF; netx allows LIF without adaptation. Train without adaptation, or use the Lava backend.")
    if isinstance(p, LI) and readout == "refuse":
        raise GraphError(f"{place}: it is a readout (LI), which netx lacks; choose readout='drop' or readout='silent'.")
    if isinstance(p, LIF) and p.reset != "to_value":
        raise GraphError(f"{place}: reset is {p.reset!r}; netx's LIF resets to 0. Train with reset='to_value'.")
    if isinstance(p, LIF) and p.n_ref.any():
        raise GraphError(f"{place}: n_ref reaches {p.n_ref.max()}; netx drops refractory periods. Train with n_ref=0.")
    for name in ("decay_v", "decay_u", "v_th"):
        if hasattr(p, name) and len(different := np.unique(getattr(p, name))) > 1:
            raise GraphError(
                f"{place}: {name} has {len(different)} values ({different[0]} to {different[-1]}); netx allows one for all neurons. "
                "Cluster them to one, or use a population for each."
            )
    low, high = BIAS_MANTISSA
    mantissa = p.bias >> BIAS_EXPONENT
    wrong = (p.bias != mantissa << BIAS_EXPONENT) | (mantissa < low) | (mantissa > high)
    if wrong.any():
        raise GraphError(
            f"{place}: bias is {p.bias[wrong][0]}; netx allows multiples of {2**BIAS_EXPONENT} from {low << BIAS_EXPONENT} to "
            f"{high << BIAS_EXPONENT}. Train without bias, or round it."
        )


def _layer(p: LIF | LI, source: str, incoming: Sequence[Projection]) -> Layer:
    """The projections onto one population: one from its predecessor, perhaps one from itself."""
    by_source: dict[str, Projection] = {}
    for q in incoming:
        if q.source not in (source, p.name):
            raise GraphError(f"Projection {q.name!r}: it leaves the chain; netx allows {source!r} and {p.name!r} to project to {p.name!r}.")
        if q.source in by_source:
            names = f"{by_source[q.source].name!r}, {q.name!r}"
            raise GraphError(f"Projections {names}: netx allows one from {q.source!r} to {p.name!r}. Join their synapses.")
        by_source[q.source] = q
    used = [by_source[source], *(q for q in incoming if q.source == p.name and q.weights.any())]
    matrices = [_matrix(q, p.n) for q in used]
    _check_weights(" and ".join(repr(q.name) for q in used), matrices)
    return Layer(p, matrices[0], matrices[1] if len(used) > 1 else None, _delay(used, p.n))


def _delay(used: Sequence[Projection], n_target: int) -> Matrix | None:
    """Steps beyond the first of the forward projection; recurrent layers have none, since netx drops the shift there."""
    allowed = MAX_DELAY if len(used) == 1 else 1
    for q in used:
        if q.max_delay > allowed:
            where = "onto a population with recurrence" if len(used) > 1 else "of a projection"
            raise GraphError(f"Projection {q.name!r}: delay {q.max_delay}; netx allows {allowed} {where}. Use shorter delays.")
    forward = used[0]
    if forward.max_delay == 1:
        return None
    delay = np.zeros((n_target, forward.n_source), np.int64)
    delay[forward.indices, forward.rows] = forward.delays - 1
    return delay


def _matrix(q: Projection, n_target: int) -> Matrix:
    """Weights with the exponent folded in [targets, sources]."""
    matrix = q.to_dense(n_target).T
    if q.weight_exp >= 0:
        return matrix << q.weight_exp
    if (matrix & ((1 << -q.weight_exp) - 1)).any():
        raise GraphError(
            f"Projection {q.name!r}: weight_exp is {q.weight_exp} and not all weights are multiples of {1 << -q.weight_exp}; "
            f"netx has no exponent. {REMEDY}"
        )
    return matrix >> -q.weight_exp


def _check_weights(names: str, matrices: Sequence[Matrix]) -> None:
    low, high = min(int(m.min()) for m in matrices), max(int(m.max()) for m in matrices)
    if low == high == 0:
        raise GraphError(f"Projection {names}: all weights are 0, which netx cannot load. Leave the population out.")
    allowed = (0, 255) if low >= 0 else (-256, 254)
    if not (allowed[0] <= low and high <= allowed[1]):
        raise GraphError(
            f"Projection {names}: weights with their exponent are {low} to {high}; netx allows {allowed[0]} to {allowed[1]}. {REMEDY}"
        )
    for written, held in zip(matrices, as_loaded(matrices)):
        if (written != held).any():
            first = tuple(np.argwhere(written != held)[0])
            raise GraphError(
                f"Projection {names}: netx would load weight {written[first]} as {held[first]:g}, by the shifts it chooses for the layer. "
                "Use even weights, or quantise at a slightly different scale."
            )


def as_loaded(matrices: Sequence[Matrix]) -> list[np.ndarray]:
    """The weights that netx 0.6.0 and Lava 0.10.0 make of a layer's: [float], 0 where they are lost.

    netx shifts all matrices of a layer left until the strongest fills 8 bits, and counts the bits in use for the signs of
    all together; Lava then takes the signs of each matrix alone, clips to 8 bits and cuts the low bits not in use.
    """
    low, high = min(int(m.min()) for m in matrices), max(int(m.max()) for m in matrices)
    signed = low < 0 <= high
    if signed:
        room = min(127 / high if high else np.inf, 128 / -low)
    else:
        room = 255 / high if low >= 0 else 256 / -low
    shift = int(np.floor(np.log2(room))) + signed
    used = int(np.bitwise_or.reduce([np.bitwise_or.reduce(np.abs(m), axis=None) for m in matrices]))
    spare = min((used & -used).bit_length() - 1, 8) - signed
    held: list[np.ndarray] = []
    for m in matrices:
        mixed, sign = bool(m.min() < 0 < m.max()), -1 if m.min() < 0 >= m.max() else 1
        clipped = np.clip(sign * (m << shift), -256 if mixed else 0, 255)
        cut = shift + spare + mixed
        held.append(sign * ((clipped >> cut) << cut) / 2**shift if cut >= 0 else np.zeros(m.shape))
    return held


def _write_input(group: Any, n: int) -> None:
    group["type"] = np.array([b"input"], "S10")
    group["shape"] = np.array([n])


def _write_dense(group: Any, layer: Layer) -> None:
    p = layer.neurons
    n_target, n_source = layer.weight.shape
    group["type"] = np.array([b"dense" if layer.weight_rec is None else b"dense_rec"], "S10")
    group["shape"] = np.array([n_target])
    group["inFeatures"], group["outFeatures"] = n_source, n_target
    group["weight"] = layer.weight.astype(np.int32)
    for name, matrix in (("weight_rec", layer.weight_rec), ("delay", layer.delay)):
        if matrix is not None:
            group[name] = matrix.astype(np.int32)
    if p.bias.any():
        group["bias"] = (p.bias >> BIAS_EXPONENT).astype(np.int32)
    neuron = group.create_group("neuron")
    neuron["type"] = np.bytes_("CUBA")
    neuron["iDecay"], neuron["vDecay"] = 4096 - int(p.decay_u[0]), 4096 - int(p.decay_v[0])
    neuron["vThMant"] = int(p.v_th[0]) if isinstance(p, LIF) else SILENT
    neuron["refDelay"], neuron["gradedSpike"] = 1, False
