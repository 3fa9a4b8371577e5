"""Quantisation-aware training: the loss is that of the network in a chip's numbers, its gradient moves the float weights."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from neuromorph.graph import Graph
from neuromorph.grid import Grid, dequantize
from neuromorph.hardware import HardwareProfile
from neuromorph.quantize import quantize, quantize_population
from neuromorph.train.blocks import READOUT, blocks
from neuromorph.train.export import export
from neuromorph.train.import_constants import import_constants
from neuromorph.train.network import LSNN


class Ruler(NamedTuple):
    """Of every weight of a matrix [n_target, n_source], float64: grid steps per unit of gain times weight, and their range."""

    steps: Tensor
    low: Tensor
    high: Tensor


class Rounding:
    """A model and, beside it, `rounded`: the same network with the weights, decays, thresholds and biases that a chip gets.

    `refresh` chooses the grid (scales of populations, exponents of projections) as `quantize` does for the weights of the
    moment; `update` puts the weights of the moment on that grid. `rounded`, exported, quantises to exactly these integers
    when its graph carries the grid. Only parameters are rounded: states (24 bits on the chip) stay floats.

    Gradients pass straight through (Bengio, Leonard and Courville 2013, arXiv 1308.3432): that at the rounded number is
    taken for that at the float one, but 0 for a weight beyond the range of the grid, until a refresh widens it.

    `signs`: those of training (see `LSNN.signs`); projections of one sign keep all 8 bits. Mixed ones use -254 to 254.

    Raises:
        QuantizationError: the chip lacks a neuron form or a range that the model needs.
        GraphError: the model cannot be exported.
    """

    grid: Grid
    rulers: dict[str, Ruler]

    def __init__(self, model: LSNN, signs: dict[str, Tensor], profile: HardwareProfile) -> None:
        self.model, self.signs, self.profile = model, signs, profile
        self.rounded = copy.deepcopy(model)
        self.rounded.live_gradients = False  # a synapse that rounds to zero is not dormant
        self.refresh()

    def refresh(self) -> None:
        """A grid for the model as it is now."""
        integer, _ = quantize(self._export(), self.profile, Grid())
        self.use(Grid.of(integer))

    def use(self, grid: Grid) -> None:
        """Round to this grid from now on. Projections that it does not name (no synapses yet) get their target's coarsest."""
        coarsest: dict[str, int] = {}
        for name, exponent in grid.exponents.items():
            target = name.rpartition("->")[2]
            coarsest[target] = max(exponent, coarsest.get(target, exponent))
        named = {b.projection: grid.exponents.get(b.projection, coarsest.get(b.target, 0)) for b in blocks(self.model)}
        self.grid = Grid(grid.scales, named)
        self.rulers = {name: self._ruler(name) for name in self.model.weights()}
        self._constants(self._export())
        self.update()

    @torch.no_grad()
    def update(self) -> LSNN:
        """`rounded`, from the model as it is now; its gradients are forgotten."""
        if self.model.time_constants():
            self._constants(self._export())
        for name, matrix in self.rounded.weights().items():
            ruler = self.rulers[name]
            steps = torch.clamp(torch.round(self._steps(name)), ruler.low, ruler.high)
            matrix.copy_(steps / (ruler.steps * _gain(self.rounded, name)))
        self.rounded.zero_grad()
        return self.rounded

    @torch.no_grad()
    def hand_back(self) -> None:
        """The gradients of `rounded` become those of the model."""
        for p, q in zip(self.model.parameters(), self.rounded.parameters()):
            p.grad = q.grad
        for name, matrix in self.model.weights().items():
            if matrix.grad is not None:
                steps, ruler = self._steps(name), self.rulers[name]
                matrix.grad.mul_((steps >= ruler.low - 0.5) & (steps <= ruler.high + 0.5))

    def _export(self) -> Graph:
        return export(self.model, signs=self.signs)

    def _steps(self, name: str) -> Tensor:
        """The float weights of a matrix, in steps of the grid."""
        return self.model.weights()[name].double() * _gain(self.model, name) * self.rulers[name].steps

    def _ruler(self, name: str) -> Ruler:
        signs = self.signs[name]
        ruler = Ruler(*(torch.zeros_like(signs, dtype=torch.float64) for _ in Ruler._fields))
        for b in blocks(self.model):
            if b.matrix != name:
                continue
            place = b.rows, b.columns
            below, above = bool((signs[place] < 0).any()), bool((signs[place] > 0).any())
            most, step = (127, 2) if below and above else (255, 1)
            ruler.steps[place] = self.grid.scales[b.target] / 64 / 2.0 ** self.grid.exponents[b.projection] / step
            ruler.low[place], ruler.high[place] = -most * below, most * above
        return ruler

    def _constants(self, graph: Graph) -> None:
        """Put the model's constants on the grid."""
        populations = {p.name: (p, self.grid.scales[p.name]) for p in graph.neurons}
        rounded = {name: dequantize(quantize_population(p, s, self.profile), p, s) for name, (p, s) in populations.items()}
        import_constants(self.rounded, rounded)


def _gain(model: LSNN, name: str) -> Tensor:
    """Gains of the targets of a matrix [n_target, 1]."""
    if name == READOUT:
        return model.readout.gain.double().unsqueeze(1)
    layer = next(layer for suffix, layer in model.layers().items() if name in (f"input{suffix}", f"recurrent{suffix}"))
    return layer.p.values().gain.double().unsqueeze(1)
