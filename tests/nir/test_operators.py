"""Linear nodes unrolled: against torch's own convolutions and pools, over sizes, strides, paddings, dilations, groups."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from neuromorph.errors import FormatError
from neuromorph.nir import Node
from neuromorph.nir.operators import Operator, operator


def apply(found: Operator, x: np.ndarray) -> np.ndarray:
    y = found.matrix @ x.ravel()
    return (y if found.bias is None else y + found.bias).reshape(found.shape)


@st.composite
def convolutions(draw: st.DrawFn, dimensions: int) -> tuple[dict[str, Any], tuple[int, ...]]:
    groups, kernel = draw(st.integers(1, 3)), [draw(st.integers(1, 4)) for _ in range(dimensions)]
    per_group, out = draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    dilation = [draw(st.integers(1, 2)) for _ in range(dimensions)]
    padding: Any = draw(st.sampled_from(["same", "valid", None])) or np.array([draw(st.integers(0, 2)) for _ in range(dimensions)])
    stride = [1 if isinstance(padding, str) and padding == "same" else draw(st.integers(1, 3)) for _ in range(dimensions)]
    size = [draw(st.integers(d * (k - 1) + 1, d * (k - 1) + 6)) for d, k in zip(dilation, kernel)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight = rng.normal(size=(out, per_group, *kernel))
    fields = {"weight": weight, "bias": rng.normal(size=out), "stride": np.array(stride), "dilation": np.array(dilation), "groups": groups}
    return fields | {"padding": padding, "input_shape": np.array(size)}, (per_group * groups, *size)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_convolutions(dimensions: int) -> None:
    conv = functional.conv1d if dimensions == 1 else functional.conv2d

    @settings(max_examples=60, deadline=None)
    @given(case=convolutions(dimensions), seed=st.integers(0, 2**32 - 1))
    def check(case: tuple[dict[str, Any], tuple[int, ...]], seed: int) -> None:
        fields, shape = case
        x = np.random.default_rng(seed).normal(size=shape)
        padding = fields["padding"] if isinstance(fields["padding"], str) else tuple(fields["padding"].tolist())
        weight, bias = torch.from_numpy(fields["weight"]), torch.from_numpy(fields["bias"])
        steps = {name: tuple(fields[name].tolist()) for name in ("stride", "dilation")}
        wanted = conv(torch.from_numpy(x)[None], weight, bias, padding=padding, groups=fields["groups"], **steps)
        found = apply(operator("c", Node(f"Conv{dimensions}d", fields), shape), x)
        assert found.shape == tuple(wanted.shape[1:])
        assert np.allclose(found, wanted[0].numpy(), atol=1e-10)

    check()


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    share=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    shape=st.tuples(st.integers(1, 3), st.integers(3, 8), st.integers(3, 8)),
)
def test_pools(kernel: tuple[int, int], stride: tuple[int, int], share: tuple[int, int], shape: tuple[int, int, int]) -> None:
    padding = (min(share[0], kernel[0] // 2), min(share[1], kernel[1] // 2))
    fields = {"kernel_size": np.array(kernel), "stride": np.array(stride), "padding": np.array(padding)}
    x = np.random.default_rng(0).normal(size=shape)
    wanted = functional.avg_pool2d(torch.from_numpy(x)[None], kernel, stride, padding)[0].numpy()
    assert np.allclose(apply(operator("p", Node("AvgPool2d", fields), shape), x), wanted)
    assert np.allclose(apply(operator("p", Node("SumPool2d", fields), shape), x), wanted * math.prod(kernel))


def test_the_rest_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert apply(operator("l", Node("Linear", {"weight": np.array([[1, 0, 2], [0, -1, 0]])}), (3,)), x).tolist() == [7, -2]
    affine = Node("Affine", {"weight": np.eye(3), "bias": np.array([1.0, 0, -1])})
    assert apply(operator("a", affine, (3,)), x).tolist() == [2, 2, 2]
    assert apply(operator("s", Node("Scale", {"scale": np.array([2.0, 0, 1])}), (3,)), x).tolist() == [2, 0, 3]
    flat = operator("f", Node("Flatten", {"start_dim": 0, "end_dim": -1}), (2, 3))
    assert flat.shape == (6,)
    assert apply(flat, np.arange(6).reshape(2, 3)).tolist() == [0, 1, 2, 3, 4, 5]
    late = operator("d", Node("Delay", {"delay": 2e-3}), (3,))
    assert late.delays is not None
    assert late.delays.tolist() == [2e-3] * 3


@pytest.mark.parametrize(
    ("kind", "fields", "shape", "says"),
    [
        ("Linear", {"weight": np.ones((2, 4))}, (3,), "node 'n' (Linear): weight has shape (2, 4); wanted (n_out, 3)"),
        ("Linear", {}, (3,), "weight is None; wanted numbers"),
        ("Affine", {"weight": np.ones((2, 3)), "bias": np.ones(3)}, (3,), "bias has shape (3,); wanted (2,)"),
        ("Scale", {"scale": np.ones(2)}, (3,), "scale has shape (2,), its input (3,)"),
        ("Delay", {"delay": -np.ones(3)}, (3,), "delay has -1.0 s; delays are 0 or more"),
        ("AvgPool2d", {"kernel_size": np.ones(2), "stride": np.ones(2), "padding": np.zeros(2)}, (9,), "wanted (channels, height, width)"),
        ("SumPool2d", {"kernel_size": np.array([0, 2]), "stride": np.ones(2), "padding": np.zeros(2)}, (1, 4, 4), "at least 1"),
    ],
)
def test_what_does_not_fit_is_told(kind: str, fields: dict[str, Any], shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(FormatError) as told:
        operator("n", Node(kind, fields), shape)
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"groups": 3}, "3 groups, weight (4, 2, 3, 3), bias (4,) do not fit 2 channels"),
        ({"padding": "same", "stride": np.array([2, 1])}, "padding is 'same' with stride [2, 1]"),
        ({"padding": "full"}, "padding is 'full'; allowed: same, valid, or numbers"),
        ({"stride": np.array([1.5, 1])}, "stride is [1.5, 1.0]; wanted 2 whole numbers"),
    ],
)
def test_convolutions_that_do_not_fit(changes: dict[str, Any], says: str) -> None:
    fields = {"weight": np.ones((4, 2, 3, 3)), "bias": np.zeros(4), "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    with pytest.raises(FormatError) as told:
        operator("c", Node("Conv2d", fields | changes), (2, 8, 8))
    assert says in str(told.value)
