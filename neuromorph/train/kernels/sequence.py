"""A layer of LSNN neurons with its readout over a whole sequence in one call, for PyTorch's autograd.

Samples are cut into tiles of 32, which threads share; every sum over tiles has a fixed order, so that results do not depend on
the number of threads. The oracle is the loop over `neurons.fire`: the same spikes and gradients in float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuromorph.simd.buffers import scratch, zeros
from neuromorph.simd.lanes import LANES
from neuromorph.simd.share import share
from neuromorph.train.kernels import leaky, neuron, packing, synapses, tile
from neuromorph.train.kernels.matrices import Edges, Matrix, Projection, by_source

CONSTANTS = ("decay_v", "decay_u", "gain", "bias", "v_th", "decay_a", "kappa")
"""Constants that have a gradient, in the kernel's order."""

DENSE_FROM = 0.35
"""Share of live synapses from which dense products are faster."""

ROWS_UP_TO = 2**20
"""Bytes of dense rows that are delivered faster than live edges (they stay in the second cache)."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What does not change between batches: the form of the step, delays and readout, and what is wanted.

    `input_delays`, `recurrent_delays`: int [steps], in the shape of the weights: matrices [n, n_in] and [n, n], or one a live edge;
    then `ends` are their (source, target) [k] each. `readout`: constants [n_out] of its integrators with `readout_delays`
    [n_out, n], or None. `window`: last steps over which the readout is averaged; None: every step.
    `spikes`: whether z is wanted. `live_gradients`: weights of exactly zero get no gradient (edges never do).
    """

    subtract: bool
    by_threshold: bool
    surrogate: int
    psi: tuple[float, ...]
    input_delays: np.ndarray
    recurrent_delays: np.ndarray
    ends: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    readout: dict[str, np.ndarray] | None = None
    readout_delays: np.ndarray | None = None
    window: int | None = None
    spikes: bool = True
    overshoot: bool = False
    live_gradients: bool = False


class Result(NamedTuple):
    """`readout` [steps, batch, n_out], or [batch, n_out] averaged, or None; `spikes` [steps, batch, n] or None.

    `rates`: mean spikes a step of each neuron [n]; `overshoot`: mean of relu(v - theta)^2 + relu(-v - theta)^2 [n].
    """

    readout: Tensor | None
    spikes: Tensor | None
    rates: Tensor
    overshoot: Tensor


class _Run:
    """One forward pass and what its backward pass needs."""

    def __init__(
        self, plan: Plan, x: np.ndarray, drive: np.ndarray, weights: list[np.ndarray], constants: dict[str, np.ndarray], *, current: bool
    ) -> None:
        self.plan, self.drive = plan, drive
        self.readout_weights = weights[2]
        self.dtype = weights[1].dtype
        masks = packing.pack(x)
        if masks is None:
            raise ValueError("input spikes other than 0 and 1")
        self.steps, self.batch, self.n_in = x.shape
        self.n = len(constants["v_th"])
        self.x, self.n_tiles = masks, len(masks)
        self.z = scratch((self.n_tiles, self.steps, self.n), np.uint32)
        self.constants = neuron.Neurons(**{name: constants[name] for name in neuron.Neurons._fields})
        psi = np.array(plan.psi, self.dtype)
        current = current or bool(constants["decay_u"].any())
        self.form = neuron.Form(plan.subtract, plan.by_threshold, current, plan.overshoot, plan.surrogate, psi)
        self.parts = self._projections(weights)
        self.synapses, self.entries = self._wire()
        self.leaky, self.bias = self._read()
        self.chunk = max(1, round(math.sqrt(self.steps * (1 + 0.5 * (self.synapses.slots > 1)))))
        chunks = -(-self.steps // self.chunk)
        u = self.n if current else 0
        self.kept = [[scratch((chunks, n, LANES), self.dtype) for n in (self.n, self.n, u)] for _ in range(self.n_tiles)]

    def _projections(self, weights: list[np.ndarray]) -> list[Projection]:
        """Input and recurrent synapses."""
        plan = self.plan
        delays = (plan.input_delays, plan.recurrent_delays)
        if plan.ends is None:
            return [Matrix(w, d) for w, d in zip(weights, delays)]
        sizes = (self.n_in, self.n)
        return [Edges(n, source, target, w, d) for n, (source, target), w, d in zip(sizes, plan.ends, weights, delays)]

    def _wire(self) -> tuple[synapses.Synapses, np.ndarray]:
        """Synapses by source, and the place of each edge with a gradient in the weights it came from."""
        n, n_in, sparse = self.n, self.n_in, self.plan.ends is not None
        width = -(-n // LANES) * LANES
        slots = max([1, *(int(part.delays.max()) for part in self.parts if part.delays.size)])
        *live, entries = by_source(self.parts, slots, width, self.dtype, every=False)
        dense = not sparse and slots == 1 and len(live[1]) > DENSE_FROM * n * (n + n_in)
        by_rows = not sparse and slots == 1 and (n_in + n) * width * self.dtype.itemsize <= ROWS_UP_TO
        matrices = [part.weights for part in self.parts]
        rows = zeros((n_in + n if by_rows or dense else 0, width), self.dtype)
        if len(rows):
            rows[:n_in, :n], rows[n_in:, :n] = (w.T for w in matrices)
        packed = [np.zeros((0, n, synapses.ROWS), self.dtype)] * 2
        if dense:
            packed = [synapses.pack_rows(np.ascontiguousarray(w.T)) for w in reversed(matrices)]
        gradient = [np.zeros(0, np.int64), np.zeros(0, np.int32)]
        if self._live() and not dense:
            gradient = live[:2]
        elif slots > 1:
            *every, entries = by_source(self.parts, slots, width, self.dtype, every=True)
            gradient = every[:2]
        s = synapses.Synapses(n_in, n, width, slots, dense, *live, rows, packed[0], packed[1], *gradient)  # pyright: ignore[reportCallIssue]
        return s, entries

    def _live(self) -> bool:
        return self.plan.live_gradients or self.plan.ends is not None

    def _read(self) -> tuple[leaky.Leaky, np.ndarray]:
        """The readout, and what its bias adds to the mean."""
        plan, dtype = self.plan, self.dtype
        if plan.readout is None or plan.readout_delays is None:
            nothing = np.zeros((self.n, 0), dtype)
            return leaky.Leaky(0, False, 1, nothing, nothing.astype(np.int64), nothing, *[nothing[0]] * 4), nothing[0]
        slots = int(plan.readout_delays.max())
        exact = {name: np.asarray(plan.readout[name], np.float64) for name in ("decay_v", "decay_u", "gain")}
        k = leaky.mean_weights(self.steps, plan.window or 1, slots, **exact)
        weight, delay = (np.ascontiguousarray(m.T) for m in (self.readout_weights, plan.readout_delays))
        constants = [np.asarray(plan.readout[name], dtype) for name in ("decay_v", "decay_u", "gain", "bias")]
        r = leaky.Leaky(weight.shape[1], plan.window is not None, slots, weight, delay.astype(np.int64), k.astype(dtype), *constants)
        return r, (k[-1] * plan.readout["bias"]).astype(dtype)

    def _tile(self, number: int) -> tile.Tile:
        first = number * LANES
        n = min(LANES, self.batch - first)
        valid = np.uint32((1 << n) - 1)
        return tile.Tile(self.steps, self.chunk, first, n, valid, self.x[number], self.z[number], self.drive, *self.kept[number])

    def _memory(self) -> tuple[synapses.Events, neuron.State, np.ndarray, np.ndarray]:
        """Events, state, spikes on their way, sums: what both passes work in."""
        s, lanes = self.synapses, (LANES,)
        e = synapses.Events(np.zeros((LANES, self.n + self.n_in), np.int32), np.zeros(LANES, np.int64), np.zeros(LANES, np.int64))
        u = self.n if self.form.current else 0
        state = neuron.State(*(zeros((n, *lanes), self.dtype) for n in (self.n, self.n, u, s.width)))
        return e, state, zeros((LANES, s.slots * s.width), self.dtype), zeros((LANES, s.width), self.dtype)

    def forward(self) -> tuple[np.ndarray, np.ndarray]:
        """Readout [steps or 1, batch, n_out] and squared overshoot [tiles, n]."""
        r = self.leaky
        trace = np.zeros((1 if r.mean else self.steps, self.batch, r.n), self.dtype)
        outside = np.zeros((self.n_tiles, self.n), self.dtype)

        def work() -> Callable[[int], None]:
            memory = self._memory()
            ring = np.zeros((LANES, r.slots * r.n), self.dtype)
            y, u = np.zeros((LANES, r.n), self.dtype), np.zeros((LANES, r.n), self.dtype)
            over = zeros((self.n if self.form.overshoot else 0, LANES), self.dtype)

            def run(number: int) -> None:
                tile.forward(self._tile(number), self.constants, self.form, self.synapses, r, *memory, ring, y, u, trace, over)
                if self.form.overshoot:
                    outside[number] = over.sum(1)

            return run

        share(work, self.n_tiles)
        if r.mean:
            trace += self.bias
        return trace, outside

    def backward(
        self, trace: np.ndarray, spikes: np.ndarray, rates: np.ndarray, over: np.ndarray, wants: dict[str, bool]
    ) -> dict[str, np.ndarray | None]:
        """Gradients by name of what the pass was given; `wants`: which of "x", "drive", "constants" are."""
        s, r, tiles = self.synapses, self.leaky, self.n_tiles
        by_rows = len(s.gradient_ptr) == 0
        edges = [zeros((s.inputs + s.neurons, s.width) if by_rows else (len(s.gradient_place),), self.dtype) for _ in range(tiles)]
        readout = np.zeros((tiles, self.n, r.n), self.dtype)
        x = np.zeros((self.steps if wants["x"] else 0, self.batch, self.n_in), self.dtype)
        drive = np.zeros((self.steps if wants["drive"] else 0, self.batch, self.n), self.dtype)
        constants = [zeros((7 * wants["constants"], self.n, LANES), self.dtype) for _ in range(tiles)]

        def work() -> Callable[[int], None]:
            memory = self._memory()
            keep_u = wants["constants"] or self.form.current
            kept = tuple(scratch((m, self.n, LANES), self.dtype) for m in (self.chunk + 1, self.chunk + 1, self.chunk + 1 if keep_u else 1))
            most = max(len(s.packed) * synapses.ROWS, len(s.packed_inputs) * synapses.ROWS, s.inputs, s.width)
            lanes = zeros((most, LANES), self.dtype)
            currents = zeros(((s.slots + 1) * s.width, LANES), self.dtype)
            turned = zeros((0 if self._live() and not by_rows else LANES, (s.slots + 1) * s.width), self.dtype)
            read = zeros((1 if r.mean else self.steps + r.slots, r.n, LANES), self.dtype)
            states = [zeros((n, LANES), self.dtype) for n in (self.n, self.n, self.n if self.form.current else 0)]

            def run(number: int) -> None:
                g = tile.Gradients(trace, spikes, rates, over, edges[number], readout[number], x, drive, constants[number])
                back = neuron.Adjoint(states[0], states[1], states[2], constants[number])
                tile.backward(
                    self._tile(number), self.constants, self.form, s, r, *memory, kept, lanes, currents, turned, read, back, g
                )  # fmt: skip

            return run

        share(work, self.n_tiles)
        weights = self._gradients(sum(edges[1:], edges[0]))
        summed = sum((c.sum(2) for c in constants[1:]), constants[0].sum(2)) if wants["constants"] else None
        return {**weights, "readout": readout.sum(0).T, "x": x, "drive": drive, "constants": summed}

    def _gradients(self, edges: np.ndarray) -> dict[str, np.ndarray | None]:
        """Gradients of the input and recurrent weights."""
        n_in = self.n_in
        if len(self.synapses.gradient_ptr) == 0:
            found = {"input": edges[:n_in, : self.n].T, "recurrent": edges[n_in:, : self.n].T}
            return {name: np.where(p.weights != 0, g, 0) if self._live() else g for (name, g), p in zip(found.items(), self.parts)}
        cut = self.synapses.gradient_ptr[n_in * self.synapses.slots]
        parts = (slice(None, cut), slice(cut, None))
        return {name: p.gradient(self.entries[k], edges[k]) for name, p, k in zip(("input", "recurrent"), self.parts, parts)}


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, x: Tensor, drive: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        weights, constants = [t.detach().numpy() for t in tensors[:3]], tensors[3:]
        values = {name: t.detach().numpy() for name, t in zip(CONSTANTS, constants)}
        values |= {"v_reset": tensors[10].numpy(), "n_ref": tensors[11].numpy()}
        run = _Run(
            plan,
            x.detach().numpy(),
            drive.detach().contiguous().numpy(),
            [np.ascontiguousarray(w) for w in weights],
            values,
            current=constants[1].requires_grad,
        )
        trace, outside = run.forward()
        ctx.run = run
        ctx.set_materialize_grads(False)
        size = run.steps * run.batch
        counts = np.zeros(run.n, np.int64)
        packing.count(run.z, counts)
        z = np.empty((run.steps if plan.spikes else 0, run.batch, run.n), run.dtype)
        if plan.spikes:
            packing.unpack(run.z, z)
        rates = (counts / size).astype(run.dtype)
        return tuple(torch.from_numpy(a) for a in (trace, z, rates, outside.sum(0) / run.dtype.type(size)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        run: _Run = ctx.run
        trace, spikes, rates, over = (None if g is None else g.contiguous().numpy() for g in grads)
        size = run.dtype.type(run.steps * run.batch)
        nothing = np.zeros(run.n, run.dtype)
        needs = ctx.needs_input_grad
        wants = {"x": needs[1], "drive": needs[2], "constants": any(needs[6:13])}
        if trace is None:
            trace = np.zeros((1 if run.leaky.mean else run.steps, run.batch, run.leaky.n), run.dtype)
        if spikes is None:
            spikes = np.zeros((0, run.batch, run.n), run.dtype)
        rates = nothing if rates is None else rates / size
        over = nothing if over is None or not run.form.overshoot else 2 * over / size
        g = run.backward(trace, spikes, rates, over, wants)
        given = [g["x"] if wants["x"] else None, g["drive"] if wants["drive"] else None, g["input"], g["recurrent"], g["readout"]]
        given += [None] * 7 if g["constants"] is None else list(g["constants"])
        found = [None, *(None if a is None else torch.from_numpy(np.ascontiguousarray(a)) for a in given), None, None]
        return tuple(a if need else None for a, need in zip(found, needs))


def run(
    plan: Plan, x: Tensor, drive: Tensor | None, input_weights: Tensor, recurrent_weights: Tensor, readout_weights: Tensor | None, c: Any
) -> Result:
    """Run a layer from silence; differentiable in everything but v_reset, n_ref and the readout's constants.

    Args:
        x: spikes [steps, batch, n_in], zeros and ones of any type. drive: further input [steps, batch, n], which arrives one step later.
        input_weights, recurrent_weights: [n, n_in], [n, n], or live edges [k] each (see `Plan.ends`); readout_weights [n_out, n].
        c: `neurons.StepConstants`.

    Raises:
        ValueError: x holds other values than 0 and 1.
    """
    n = len(c.v_th)
    nothing = recurrent_weights.new_zeros(0, n)
    out = nothing if readout_weights is None else readout_weights
    drive = recurrent_weights.new_zeros(0, x.shape[1], n) if drive is None else drive
    constants = [getattr(c, name) for name in CONSTANTS]
    trace, z, rates, over = _Sequence.apply(plan, x, drive, input_weights, recurrent_weights, out, *constants, c.v_reset, c.n_ref)  # pyright: ignore[reportGeneralTypeIssues]
    read = None if readout_weights is None else trace[0] if plan.window is not None else trace
    return Result(read, z if plan.spikes else None, rates, over)
