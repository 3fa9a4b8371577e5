"""The compiled kernel against a loop written for this test, and against `neurons.fire`: same spikes, same gradients, in float64."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neuromorph.simd import share as sharing
from neuromorph.train.constants import StepConstants
from neuromorph.train.kernels import packing, sequence
from neuromorph.train.kernels.neuron import BELLEC
from neuromorph.train.kernels.sequence import CONSTANTS, Plan, Result
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.surrogate import by_name

torch.set_num_threads(1)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with its readout, and input spikes for it. Delays are [target, source], one pair of them a matrix."""

    plan: Plan
    x: Tensor
    drive: Tensor | None
    weights: tuple[Tensor, Tensor, Tensor]
    constants: StepConstants

    def leaves(self) -> tuple[dict[str, Tensor], "Layer"]:
        """The tensors that have a gradient, by name, and the layer with them."""
        names = ("x", "drive", "input", "recurrent", "readout", *CONSTANTS)
        given = (self.x, self.drive, *self.weights, *(getattr(self.constants, name) for name in CONSTANTS))
        fresh = {name: t.clone().requires_grad_() for name, t in zip(names, given) if t is not None}
        constants = self.constants._replace(**{name: fresh[name] for name in CONSTANTS})
        weights = (fresh["input"], fresh["recurrent"], fresh["readout"])
        return fresh, replace(self, x=fresh["x"], drive=fresh.get("drive"), weights=weights, constants=constants)


def layer(
    seed: int, *, steps: int, batch: int, n_in: int, n: int, n_out: int, density: float = 0.4, slots: int = 1, n_ref: int = 3,
    current: bool = False, drive: bool = False, **plan: Any,
) -> Layer:  # fmt: skip
    """Constants of each neuron's own; every term of the step is in use."""
    rng = np.random.default_rng(seed)
    t = torch.from_numpy
    decay_v, decay_a = np.exp(-1 / rng.uniform(5, 25, n)), np.exp(-1 / rng.uniform(20, 70, n))
    floats = {
        "decay_v": decay_v,
        "decay_u": rng.uniform(0.1, 0.6, n) * current,
        "gain": 1 - decay_v,
        "bias": rng.normal(0, 1e-3, n),
        "v_th": rng.uniform(0.05, 0.1, n),
        "v_reset": rng.uniform(-0.01, 0.0, n),
        "n_ref": rng.integers(0, n_ref + 1, n),
        "decay_a": decay_a,
        "kappa": rng.uniform(0, 1.8, n) * (1 - decay_a),
    }
    readout = {
        "decay_v": np.exp(-1 / rng.uniform(5, 9, n_out)),
        "decay_u": np.full(n_out, 0.3) * current,
        "gain": np.full(n_out, 0.2),
        "bias": rng.normal(0, 0.1, n_out),
    }
    delays = [rng.integers(1, slots + 1, shape) for shape in ((n, n_in), (n, n), (n_out, n))]
    given = {"subtract": True, "by_threshold": True, "surrogate": BELLEC, "psi": (0.3, 1.0), "overshoot": True, **plan}
    sparse = [t(w * (rng.random(w.shape) < density)) for w in (rng.uniform(-1, 2, (n, n_in)), rng.uniform(-1, 1, (n, n)))]
    return Layer(
        Plan(input_delays=delays[0], recurrent_delays=delays[1], readout=readout, readout_delays=delays[2], **given),
        t((rng.random((steps, batch, n_in)) < 0.15).astype(np.float64)),
        t(rng.normal(0, 0.05, (steps, batch, n))) if drive else None,
        (*sparse, t(rng.uniform(-0.5, 0.5, (n_out, n)))),
        StepConstants(**{name: t(value) for name, value in floats.items()}),
    )  # fmt: skip


def loop(k: Layer) -> Result:
    """The step of the semantics, line by line, with every arrival written down ahead."""
    plan, c, r = k.plan, k.constants, k.plan.readout
    assert r is not None
    assert plan.readout_delays is not None
    spike = by_name("bellec", gamma=plan.psi[0])
    steps, batch, _ = k.x.shape
    n, n_out = len(k.weights[1]), len(k.weights[2])
    zero, out = torch.zeros(batch, n, dtype=torch.float64), torch.zeros(batch, n_out, dtype=torch.float64)
    arriving, reading = [zero] * (steps + 20), [out] * (steps + 20)
    v = u = a = z = zero
    theta = c.v_th.expand_as(v)
    y = current = out
    spikes, trace, overshoot = list[Tensor](), list[Tensor](), torch.zeros(n, dtype=torch.float64)
    for t in range(steps):
        drive = arriving[t] if k.drive is None or t == 0 else arriving[t] + k.drive[t - 1]
        u = c.decay_u * u + drive
        a = c.decay_a * a + c.kappa * z
        before = v - z * (v - c.v_reset) if not plan.subtract else v
        v = c.decay_v * before + c.gain * u + c.bias - (z * theta if plan.subtract else 0) - (0 if plan.by_threshold else a)
        theta = c.v_th + a if plan.by_threshold else c.v_th.expand_as(a)
        free = torch.ones_like(v)
        for d in range(1, min(t, int(c.n_ref.max())) + 1):
            free = free * (1 - spikes[t - d].detach() * (c.n_ref >= d))
        z = spike(v, theta) * free
        spikes.append(z)
        overshoot = overshoot + (torch.relu(v - theta) ** 2 + torch.relu(-v - theta) ** 2).sum(0) / (steps * batch)
        current = torch.from_numpy(r["decay_u"]) * current + reading[t]
        y = torch.from_numpy(r["decay_v"]) * y + torch.from_numpy(r["gain"]) * current + torch.from_numpy(r["bias"])
        trace.append(y)
        sources = ((k.x[t], plan.input_delays, arriving), (z, plan.recurrent_delays, arriving), (z, plan.readout_delays, reading))
        for (source, delays, target), w in zip(sources, k.weights):
            for d in range(1, int(delays.max(initial=0)) + 1):
                target[t + d] = target[t + d] + source @ (w * torch.from_numpy(delays == d)).T
    found, z = torch.stack(trace), torch.stack(spikes)
    return Result(found if plan.window is None else found[-plan.window :].mean(0), z, z.mean((0, 1)), overshoot)


def kernel(k: Layer) -> Result:
    return sequence.run(k.plan, k.x, k.drive, *k.weights, k.constants)


def gradients(run: Callable[[Layer], Result], k: Layer, seed: int) -> tuple[Result, dict[str, Tensor]]:
    """What `run` gives and the gradients of a random mix of it."""
    rng = np.random.default_rng(seed)
    leaves, fresh = k.leaves()
    result = run(fresh)
    assert result.readout is not None
    loss = (result.readout * torch.from_numpy(rng.normal(size=result.readout.shape))).sum()
    loss = loss + (result.rates * torch.from_numpy(rng.normal(size=result.rates.shape))).sum()
    if k.plan.overshoot:
        loss = loss + 100 * (result.overshoot * torch.from_numpy(rng.normal(size=result.overshoot.shape))).sum()
    if k.plan.spikes and result.spikes is not None:
        loss = loss + 0.01 * (result.spikes * torch.from_numpy(rng.normal(size=result.spikes.shape))).sum()
    loss.backward()
    return result, {name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()}


def check(k: Layer, seed: int = 0) -> None:
    """Spikes equal, everything else within 1e-10 of the largest entry."""
    (expected, wanted), (found, got) = (gradients(run, k, seed) for run in (loop, kernel))
    assert expected.spikes is not None
    if k.plan.spikes:
        assert found.spikes is not None
        assert torch.equal(expected.spikes, found.spikes)
    assert torch.equal(expected.rates.round(decimals=12), found.rates.round(decimals=12))
    pairs = {"y": (expected.readout, found.readout), **{name: (wanted[name], got[name]) for name in wanted}}
    if k.plan.overshoot:
        pairs["overshoot"] = (expected.overshoot, found.overshoot)
    for name, (a, b) in pairs.items():
        assert a is not None
        assert b is not None
        live = a * (k.weights[name == "recurrent"] != 0) if k.plan.live_gradients and name in ("input", "recurrent") else a
        size = float(a.detach().abs().max()) if a.numel() else 0.0
        assert torch.allclose(live, b, rtol=0, atol=1e-10 * max(size, 1e-12)), name


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 30),
    batch=st.integers(1, 40),
    n_in=st.integers(0, 9),
    n=st.integers(1, 40),
    n_out=st.integers(1, 4),
    density=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    slots=st.integers(1, 5),
    form=st.tuples(*[st.booleans()] * 7),
)
def test_small_shapes(
    seed: int, steps: int, batch: int, n_in: int, n: int, n_out: int, density: float, slots: int, form: tuple[bool, ...]
) -> None:
    names = ("subtract", "by_threshold", "spikes", "overshoot", "live_gradients")
    size = {"steps": steps, "batch": batch, "n_in": n_in, "n": n, "n_out": n_out}
    window = 1 + seed % steps if seed % 2 else None
    options = dict(zip(names, form[:5]))
    check(layer(seed, **size, density=density, slots=slots, current=form[5], drive=form[6], window=window, **options), seed)


@pytest.mark.parametrize(("density", "slots", "subtract"), [(1.0, 1, True), (0.12, 1, False), (0.12, 10, True), (1.0, 6, False)])
def test_long_sequence(density: float, slots: int, subtract: bool) -> None:
    """784 steps, a batch that leaves lanes empty, neurons that fill no block; the weights keep rates near 5 %."""
    k = layer(1, steps=784, batch=5, n_in=20, n=37, n_out=10, density=density, slots=slots, n_ref=5, window=56, subtract=subtract)
    strength = 0.3 / density**0.5
    check(replace(k, weights=(k.weights[0] * strength, k.weights[1] * strength, k.weights[2])))


CONFIGS: list[dict[str, Any]] = [
    {"max_recurrent_delay": 5, "max_input_delay": 3, "max_readout_delay": 7},
    {"n_layers": 2, "max_recurrent_delay": 3},
    {"bidirectional": True, "max_readout_delay": 2},
    {"learned": ("tau_m", "tau_a"), "max_recurrent_delay": 2},
    {"surrogate": "super"},
    {"surrogate": "triangle"},
    {"surrogate": "multi_gaussian", "surrogate_options": {"sigma": 0.01}},
    {"surrogate": "tanh"},
    {"reset": "to_value", "adaptation": "current", "n_layers": 2},
]


@pytest.mark.parametrize("options", CONFIGS, ids=str)
@pytest.mark.parametrize("analog", [False, True])
def test_networks_equal_the_loop(options: dict[str, Any], analog: bool) -> None:
    """Whole networks with `compiled` on and off: every output and the gradient of every parameter."""
    found = []
    for compiled in (True, False):
        g = torch.Generator().manual_seed(1)
        model = LSNN(LSNNConfig(12, 5, 8, **options), 9, 4, generator=g, dtype=torch.float64, compiled=compiled)
        x = torch.rand(40, 35, 9, generator=g, dtype=torch.float64)
        x = 0.3 * x if analog else (x < 0.1).double()
        decision, frames, (y, z) = model.decide(x, 7, True), model.frames(x), model(x)
        loss = decision.logits.square().sum() + 3 * decision.rates.sum() + 9 * decision.overshoot.sum()
        (loss + 100 * frames.y.square().mean() + y.square().mean()).backward()
        found.append([*decision, frames.y, y, z, *(p.grad for p in model.parameters())])
    for a, b in zip(*found):
        assert torch.allclose(a, b, rtol=0, atol=1e-12 * max(float(b.detach().abs().max()), 1e-9))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slots=st.integers(1, 4), density=st.sampled_from([0.1, 0.6]), window=st.sampled_from([None, 3]))
def test_live_edges_equal_their_matrix(seed: int, slots: int, density: float, window: int | None) -> None:
    """The same layer given as edges alone, in any order."""
    k = layer(seed, steps=15, batch=35, n_in=5, n=20, n_out=3, density=density, slots=slots, window=window, live_gradients=True)
    expected, wanted = gradients(kernel, k, 0)
    rng, ends, edges, delays = np.random.default_rng(seed), list[tuple[np.ndarray, np.ndarray]](), list[Tensor](), list[np.ndarray]()
    for w, d in zip(k.weights, (k.plan.input_delays, k.plan.recurrent_delays)):
        target, source = rng.permutation(np.argwhere(w.numpy() != 0)).T
        ends.append((source, target))
        edges.append(w[target, source])
        delays.append(d[target, source])
    plan = replace(k.plan, ends=(ends[0], ends[1]), input_delays=delays[0], recurrent_delays=delays[1])
    found, got = gradients(kernel, replace(k, plan=plan, weights=(edges[0], edges[1], k.weights[2])), 0)
    assert expected.readout is not None
    assert found.readout is not None
    assert torch.allclose(expected.readout, found.readout, rtol=0, atol=1e-12)
    for name, (source, target) in zip(("input", "recurrent"), ends):
        assert torch.allclose(wanted[name][target, source], got[name], rtol=0, atol=1e-12 * max(1.0, float(wanted[name].abs().max())))
    assert torch.allclose(wanted["decay_v"], got["decay_v"], rtol=0, atol=1e-12 * max(1.0, float(wanted["decay_v"].abs().max())))


def test_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    k = layer(3, steps=50, batch=130, n_in=7, n=23, n_out=3, slots=3)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(sharing, "threads", lambda n=threads: n)
        found.append(gradients(kernel, k, 0)[1])
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in other)


def test_passes_may_be_interleaved() -> None:
    """Several forward passes before their backward passes: none writes over what another keeps."""
    layers = [layer(seed, steps=30, batch=33, n_in=7, n=23, n_out=3, slots=2) for seed in range(3)]
    alone = [gradients(kernel, k, 0)[1] for k in layers]
    fresh = [k.leaves() for k in layers]
    results = [kernel(k) for _, k in fresh]
    for (leaves, _), result, wanted in zip(fresh, results, alone):
        rng = np.random.default_rng(0)
        assert result.readout is not None
        assert result.spikes is not None
        mix = [torch.from_numpy(rng.normal(size=t.shape)) for t in (result.readout, result.rates, result.overshoot, result.spikes)]
        parts = (result.readout, result.rates, 100 * result.overshoot, 0.01 * result.spikes)
        sum((part * m).sum() for part, m in zip(parts, mix)).backward()
        for name, leaf in leaves.items():
            assert torch.equal(leaf.grad, wanted[name]), name


def test_spikes_must_be_zeros_and_ones() -> None:
    k = layer(0, steps=3, batch=2, n_in=2, n=3, n_out=1)
    with pytest.raises(ValueError, match="0 and 1"):
        sequence.run(k.plan, k.x + 0.5, None, *k.weights, k.constants)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 9), batch=st.integers(1, 70), n=st.integers(1, 40))
def test_packing_keeps_every_spike(seed: int, steps: int, batch: int, n: int) -> None:
    x = np.random.default_rng(seed).random((steps, batch, n)) < 0.3
    masks = packing.pack(x)
    assert masks is not None
    back, counts = np.empty(x.shape), np.zeros(n, np.int64)
    packing.unpack(masks, back)
    packing.count(masks, counts)
    assert np.array_equal(back, x)
    assert np.array_equal(counts, x.sum((0, 1)))
