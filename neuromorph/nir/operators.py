"""NIR's linear nodes as sparse matrices: what convolutions, pools and the rest do to spikes that are laid out in rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import sparse

from neuromorph.errors import FormatError
from neuromorph.nir.file import Node, Value
from neuromorph.nir.flat import PASS

LINEAR = ("Linear", "Affine", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Delay", PASS)
MAX_SYNAPSES = 500_000_000

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Operator:
    """y = matrix x + bias, y of `shape`; element j of y comes `delays[j]` [s] later."""

    matrix: sparse.csr_array
    shape: Shape
    bias: np.ndarray | None = None
    delays: np.ndarray | None = None


def operator(path: str, node: Node, shape: Shape) -> Operator:
    """Of a node of `LINEAR` that gets a signal of `shape` (channels first, where it has more than one dimension).

    Raises:
        FormatError: fields are missing, or do not fit each other or the signal.
    """
    match node.kind:
        case "Linear" | "Affine":
            found = _dense(path, node, shape)
        case "Scale":
            scale = _elementwise(path, node, "scale", shape)
            found = Operator(sparse.csr_array(sparse.diags_array(scale)), shape)
        case "Conv1d" | "Conv2d":
            found = _convolution(path, node, shape, 1 if node.kind == "Conv1d" else 2)
        case "SumPool2d" | "AvgPool2d":
            found = _pool(path, node, shape)
        case "Flatten":
            found = Operator(_identity(shape), (math.prod(shape),))
        case "Delay":
            delays = _elementwise(path, node, "delay", shape)
            if (delays < 0).any():
                raise FormatError(f"NIR node {path!r} (Delay): delay has {delays.min()} s; delays are 0 or more.")
            found = Operator(_identity(shape), shape, delays=delays)
        case _:
            found = Operator(_identity(shape), shape)
    found.matrix.eliminate_zeros()
    return found


def numbers(path: str, node: Node, name: str) -> np.ndarray:
    """A field as float64.

    Raises:
        FormatError: it is missing, or a string.
    """
    value = node.fields.get(name)
    if value is None or isinstance(value, str):
        raise FormatError(f"NIR node {path!r} ({node.kind}): {name} is {value!r}; wanted numbers.")
    return np.asarray(value, dtype=np.float64)


def _identity(shape: Shape) -> sparse.csr_array:
    return sparse.csr_array(sparse.eye_array(math.prod(shape)))


def _elementwise(path: str, node: Node, name: str, shape: Shape) -> np.ndarray:
    values = numbers(path, node, name)
    if values.size not in (1, math.prod(shape)):
        raise FormatError(f"NIR node {path!r} ({node.kind}): {name} has shape {values.shape}, its input {shape}.")
    return np.broadcast_to(values.ravel(), (math.prod(shape),)).copy()


def _dense(path: str, node: Node, shape: Shape) -> Operator:
    weight = numbers(path, node, "weight")
    if weight.ndim != 2 or weight.shape[1] != math.prod(shape):
        raise FormatError(
            f"NIR node {path!r} ({node.kind}): weight has shape {weight.shape}; wanted (n_out, {math.prod(shape)}), for its input."
        )
    bias = numbers(path, node, "bias") if node.kind == "Affine" else None
    if bias is not None and bias.shape != (len(weight),):
        raise FormatError(f"NIR node {path!r} (Affine): bias has shape {bias.shape}; wanted ({len(weight)},).")
    return Operator(sparse.csr_array(weight), (len(weight),), bias)


class Axis(NamedTuple):
    """One dimension of a sliding window: for each place of the output [o] and of the kernel [k] the input there, and whether it has one."""

    size: int
    spot: np.ndarray
    inside: np.ndarray


def _axis(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> Axis:
    """As in torch: floor((size + before + after - dilation (kernel - 1) - 1) / stride) + 1 places."""
    places = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    index = stride * np.arange(max(places, 0))[:, None] - before + dilation * np.arange(kernel)[None]
    return Axis(max(places, 0), index, (index >= 0) & (index < size))


def _convolution(path: str, node: Node, shape: Shape, dimensions: int) -> Operator:
    weight, bias = numbers(path, node, "weight"), numbers(path, node, "bias")
    groups = int(np.asarray(node.fields.get("groups", 1)))
    if weight.ndim != 2 + dimensions or len(shape) != 1 + dimensions:
        raise FormatError(
            f"NIR node {path!r} ({node.kind}): weight has shape {weight.shape}, its input {shape}; wanted (out, in, ...) and (in, ...)."
        )
    out, per_group, *kernel = weight.shape
    if groups < 1 or out % groups or per_group * groups != shape[0] or bias.shape != (out,):
        raise FormatError(
            f"NIR node {path!r} ({node.kind}): {groups} groups, weight {weight.shape}, bias {bias.shape} do not fit {shape[0]} channels."
        )
    stride, dilation = (_whole(path, node, name, dimensions) for name in ("stride", "dilation"))
    padding = _padding(path, node, kernel, dilation, stride)
    axes = [_axis(*each) for each in zip(shape[1:], kernel, stride, padding[0], padding[1], dilation)]
    first = np.arange(out) // (out // groups) * per_group
    channels = first[:, None] + np.arange(per_group)[None]
    matrix = _unrolled(path, weight, channels, axes, shape)
    places = math.prod(axis.size for axis in axes)
    return Operator(matrix, (out, *(axis.size for axis in axes)), np.repeat(bias, places))


def _pool(path: str, node: Node, shape: Shape) -> Operator:
    """Averages count padding, as torch does unless told otherwise."""
    if len(shape) != 3:
        raise FormatError(f"NIR node {path!r} ({node.kind}): its input has shape {shape}; wanted (channels, height, width).")
    kernel, stride, padding = (_whole(path, node, name, 2) for name in ("kernel_size", "stride", "padding"))
    axes = [_axis(size, k, s, p, p, 1) for size, k, s, p in zip(shape[1:], kernel, stride, padding)]
    each = 1.0 if node.kind == "SumPool2d" else 1.0 / math.prod(kernel)
    weight, channels = np.full((shape[0], 1, *kernel), each), np.arange(shape[0])[:, None]
    return Operator(_unrolled(path, weight, channels, axes, shape), (shape[0], *(axis.size for axis in axes)))


def _unrolled(path: str, weight: np.ndarray, channels: np.ndarray, axes: Sequence[Axis], shape: Shape) -> sparse.csr_array:
    """A window that slides: weight [out, c, *kernel], where the c-th channel that output channel o reads is `channels[o, c]`."""
    places = math.prod(axis.size for axis in axes)
    if weight.size * places > MAX_SYNAPSES:
        raise FormatError(f"NIR node {path!r}: unrolled it has {weight.size * places:,} synapses; at most {MAX_SYNAPSES:,}.")
    if len(axes) == 1:
        spot, inside = axes[0].spot, axes[0].inside
    else:
        y, x = axes
        spot = (y.spot[:, None, :, None] * shape[2] + x.spot[None, :, None, :]).reshape(places, -1)
        inside = (y.inside[:, None, :, None] & x.inside[None, :, None, :]).reshape(places, -1)
    kernel = weight.reshape(*weight.shape[:2], -1)
    size = math.prod(shape[1:])
    rows = (np.arange(len(weight)) * places)[:, None, None, None] + np.arange(places)[None, None, :, None]
    columns = (channels * size)[:, :, None, None] + spot[None, None]
    full = (len(weight), channels.shape[1], *spot.shape)
    use = np.broadcast_to(inside[None, None], full)
    parts = (np.broadcast_to(part, full)[use] for part in (kernel[:, :, None, :], rows, columns))
    values, row, column = parts
    return sparse.csr_array((values, (row, column)), shape=(len(weight) * places, math.prod(shape)))


def _whole(path: str, node: Node, name: str, dimensions: int) -> list[int]:
    values = numbers(path, node, name).ravel()
    low = 0 if name == "padding" else 1
    if values.size not in (1, dimensions) or (values != np.round(values)).any() or (values < low).any():
        raise FormatError(
            f"NIR node {path!r} ({node.kind}): {name} is {values.tolist()}; wanted {dimensions} whole numbers of at least {low}."
        )
    return [int(value) for value in np.broadcast_to(values, (dimensions,))]


def _padding(path: str, node: Node, kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int]) -> tuple[list[int], list[int]]:
    """Before and after each dimension; "same" puts the odd one after, as torch does."""
    given: Value | None = node.fields.get("padding")
    if not isinstance(given, str):
        found = _whole(path, node, "padding", len(kernel))
        return found, found
    if given == "valid":
        return [0] * len(kernel), [0] * len(kernel)
    if given == "same":
        if any(step != 1 for step in stride):
            raise FormatError(
                f"NIR node {path!r} ({node.kind}): padding is 'same' with stride {list(stride)}; it is defined for stride 1 alone."
            )
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return [each // 2 for each in total], [each - each // 2 for each in total]
    raise FormatError(f"NIR node {path!r} ({node.kind}): padding is {given!r}; allowed: same, valid, or numbers.")
