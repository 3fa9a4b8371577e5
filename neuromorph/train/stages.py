"""A PyTorch or Norse model as stages: layers of neurons, each with what lies between it and the layer before, as one sparse matrix."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import norse.torch as norse
import numpy as np
from scipy import sparse
from torch import nn

from neuromorph.errors import FormatError, GraphError
from neuromorph.nir.file import Node, Value
from neuromorph.nir.operators import Shape, operator
from neuromorph.train.export import array

CONTAINERS = (norse.SequentialState, nn.Sequential)
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
BETWEEN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.AvgPool2d, nn.Flatten, *NOTHING)
"""What may lie between neurons. Dropout does nothing in a trained network."""


@dataclass(frozen=True, eq=False)
class Between:
    """y = matrix x + bias [n_out] from n_in, of `shape`; `paths`: the modules that it stands for."""

    matrix: sparse.csr_array
    bias: np.ndarray
    shape: Shape
    paths: tuple[str, ...] = ()

    @property
    def n_in(self) -> int:
        return (self.matrix.shape or (0, 0))[1]

    @property
    def n_out(self) -> int:
        return math.prod(self.shape)

    @property
    def is_identity(self) -> bool:
        same = self.n_in == self.n_out and abs(self.matrix - sparse.eye_array(self.n_in)).max() == 0
        return bool(same and not self.bias.any())


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer at its path in the model, and what is before it (None: nothing)."""

    path: str
    layer: Any
    before: Between | None = None


def layers(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested containers, in the order in which they run, with their paths."""
    if type(module) is norse.Lift:
        yield from layers(module.lifted_module, f"{path}.lifted_module".lstrip("."))
    elif type(module) in CONTAINERS:
        for name, child in module.named_children():
            yield from layers(child, f"{path}.{name}".lstrip("."))
    else:
        yield path, module


def stages(module: nn.Module, shape: Shape | None) -> Iterator[Stage]:
    """Layers of neurons in order. `shape`: of the input, channels first; needed where the model starts with a convolution or pool.

    Raises:
        GraphError: the modules between neurons do not fit, or nothing follows them.
    """
    chain: list[tuple[str, nn.Module]] = []
    for path, layer in layers(module):
        if type(layer) in BETWEEN:
            chain.append((path, layer))
            continue
        before = between(chain, shape) if chain else None
        yield Stage(path, layer, before)
        shape, chain = (before.shape if before else _width(layer)), []
    if chain:
        raise refusal(*chain[-1], "ends without neurons; add LIF or LI")


def _width(layer: nn.Module) -> Shape | None:
    """What a layer with weights of its own gives."""
    weights = getattr(layer, "input_weights", None)
    return None if weights is None else (len(weights),)


def between(chain: list[tuple[str, nn.Module]], shape: Shape | None) -> Between:
    """The modules one after the other."""
    shape = _first_shape(*chain[0]) if shape is None else shape
    matrix, bias = sparse.csr_array(sparse.eye_array(math.prod(shape))), np.zeros(math.prod(shape))
    for path, module in chain:
        try:
            step = operator(path, _node(path, module), shape)
        except FormatError as error:
            raise refusal(path, module, f"does not fit ({error})") from error
        matrix, bias, shape = step.matrix @ matrix, step.matrix @ bias, step.shape
        bias = bias if step.bias is None else bias + step.bias
    return Between(sparse.csr_array(matrix), bias, shape, tuple(path for path, _ in chain))


def _first_shape(path: str, module: nn.Module) -> Shape:
    if isinstance(module, nn.Linear):
        return (module.in_features,)
    raise refusal(path, module, "sees an input of unknown shape; give shape=(channels, height, width)")


def _node(path: str, module: nn.Module) -> Node:
    """A module as the NIR node that says the same."""
    if isinstance(module, nn.Linear):
        return Node("Linear", {"weight": array(module.weight)}) if module.bias is None else Node("Affine", _weights(module))
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        if module.padding_mode != "zeros":
            raise refusal(path, module, f"pads with {module.padding_mode!r}; allowed: zeros")
        numbers = {name: np.array(getattr(module, name)) for name in ("stride", "dilation")}
        padding: Value = module.padding if isinstance(module.padding, str) else np.array(module.padding)
        kind = "Conv1d" if isinstance(module, nn.Conv1d) else "Conv2d"
        return Node(kind, {**_weights(module), **numbers, "padding": padding, "groups": module.groups})
    if isinstance(module, nn.AvgPool2d):
        if module.ceil_mode or not module.count_include_pad or module.divisor_override:
            raise refusal(path, module, "counts in a way of its own; leave ceil_mode, count_include_pad and divisor_override as they are")
        sizes = {"kernel_size": module.kernel_size, "stride": module.stride, "padding": module.padding}
        return Node("AvgPool2d", {name: np.array(size) for name, size in sizes.items()})
    return Node("Flatten", {})


def _weights(module: nn.Linear | nn.Conv1d | nn.Conv2d) -> dict[str, Value]:
    bias = np.zeros(len(module.weight)) if module.bias is None else array(module.bias)
    return {"weight": array(module.weight), "bias": bias}


def refusal(path: str, module: nn.Module, why: str) -> GraphError:
    return GraphError(f"Export: module {path or '(root)'!r} ({type(module).__name__}) {why}.")
