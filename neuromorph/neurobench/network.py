"""A graph as a PyTorch module that computes what the reference computes, one plain layer a projection."""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.functional import pad

from neuromorph.backends.reference import STATE_MAX
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, LIF, Neurons, parameters
from neuromorph.graph.projections import Projection


class Synapses(nn.Linear):
    """One projection: `weight` [n_target, n_source], and `delays` of the same shape in steps (None: one step everywhere).

    Called with spikes alone it is a layer without bias, with which NeuroBench counts.
    """

    delays: Tensor | None

    def __init__(self, p: Projection, n_target: int) -> None:
        super().__init__(p.n_source, n_target, bias=False, device="meta")
        self.weight = nn.Parameter(torch.tensor(p.to_dense(n_target).T, dtype=torch.float64), requires_grad=False)
        delays = torch.ones(self.weight.shape, dtype=torch.int64)
        delays[torch.tensor(p.indices), torch.tensor(p.rows)] = torch.tensor(p.delays)
        self.register_buffer("delays", delays if p.max_delay > 1 else None)
        self.longest, self.weight_exp = p.max_delay, p.weight_exp

    def forward(self, input: Float[Tensor, "batch n_source"], waiting: Float[Tensor, "batch delay n_target"] | None = None) -> Tensor:
        """`waiting`: sums that arrive 1, 2, ... steps from now, to which the spikes `input` add their weights in place.

        They add one after the other in ascending order of sources, so that sums round as those of the reference (on the CPU).
        """
        if waiting is None:
            return super().forward(input)
        sample, source = input.nonzero(as_tuple=True)
        late = torch.zeros_like(source)[:, None] if self.delays is None else self.delays.T[source] - 1
        target = torch.arange(self.out_features, device=input.device)
        place = (sample[:, None] * self.longest + late) * self.out_features + target
        waiting.view(-1).index_add_(0, place.flatten(), self.weight.T[source].flatten())
        return waiting

    def arrived(self, waiting: Float[Tensor, "batch delay n_target"]) -> Float[Tensor, "batch n_target"]:
        """What arrives at the next step, shifted by the exponent of integer weights."""
        first = waiting[:, 0]
        return torch.floor(first * 2.0**self.weight_exp) if self.weight_exp else first


class Membrane(nn.Module):
    """Constants (buffers) and state of a population, [n] and [batch, n]; integers are held in float64, exact below 2^53."""

    decay_v: Tensor
    decay_u: Tensor
    gain: Tensor
    bias: Tensor

    def __init__(self, p: Neurons) -> None:
        super().__init__()
        for name, values in parameters(p).items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))
        self.integer = p.decay_v.dtype == np.int64
        self.unit = 64.0 if self.integer else 1.0

    def reset(self, batch: int) -> None:
        """Zero state, as at the start of every sample."""
        self.u = self.v = self.bias.new_zeros(batch, len(self.bias))

    def charge(self, drive: Tensor) -> None:
        """u = decay_u u + I; integers wrap once around (-2^23, 2^23]."""
        self.u = self.decayed(self.u, self.decay_u) + self.unit * drive
        if self.integer:
            self.u = self.u - 2.0**24 * (self.u > 2**23) + 2.0**24 * (self.u <= -(2**23))

    def decayed(self, x: Tensor, factor: Tensor) -> Tensor:
        """x * factor; factors of integers count 1/4096, and the product is rounded toward zero."""
        return torch.trunc(x * factor / 4096) if self.integer else x * factor

    def clipped(self, x: Tensor) -> Tensor:
        return x.clamp(-STATE_MAX, STATE_MAX) if self.integer else x


class ReadoutNeurons(Membrane):
    """Leaky integrators (LI): input current to y."""

    def forward(self, drive: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        self.charge(drive)
        self.v = self.clipped(self.decayed(self.v, self.decay_v) + self.gain * self.u + self.bias)
        return self.v


class SpikingNeurons(Membrane):
    """LIF or ALIF: input current to spikes z (0.0 or 1.0) alone, as NeuroBench's activation modules must."""

    v_th: Tensor
    v_reset: Tensor
    n_ref: Tensor
    decay_a: Tensor
    kappa: Tensor

    def __init__(self, p: LIF) -> None:
        super().__init__(p)
        self.to_value = p.reset == "to_value"
        self.adaptation = p.adaptation if isinstance(p, ALIF) else None

    def reset(self, batch: int) -> None:
        super().reset(batch)
        self.z = self.a = self.theta = self.refractory = self.v

    def forward(self, drive: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """Lines 2-6 of the step in the order of `neuromorph.backends.reference`, operation for operation."""
        self.charge(drive)
        if self.adaptation:
            self.a = self.clipped(self.decayed(self.a, self.decay_a) + self.kappa * self.z)
        theta = self.unit * self.v_th + (self.a if self.adaptation == "threshold" else 0.0)
        v = torch.where(self.z > 0, self.v_reset, self.v) if self.to_value else self.v
        v = self.decayed(v, self.decay_v) + self.gain * self.u + self.bias
        if self.adaptation == "current":
            v = v - self.a
        if not self.to_value:
            v = v - self.z * self.theta
        self.v, self.theta = self.clipped(v), theta
        self.z = ((self.v > theta) & (self.refractory == 0)).to(v.dtype)
        self.refractory = torch.where(self.z > 0, self.n_ref, (self.refractory - 1).clamp(min=0))
        return self.z


class Network(nn.Module):
    """A graph that computes what the reference backend computes; saturations of integers are not counted.

    `neurons`: modules by "LIF:name" and so on. `synapses`: modules by "Projection:name", each called once a step, the last
    included, with the spikes that leave its source. (A "." of a name is ":" in these keys.)
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.neurons = nn.ModuleDict({_key(p): ReadoutNeurons(p) if isinstance(p, LI) else SpikingNeurons(p) for p in graph.neurons})
        self.synapses = nn.ModuleDict({_key(p): Synapses(p, graph.population(p.target).n) for p in graph.projections})

    def forward(self, x: Shaped[Tensor, "batch time features"]) -> Float[Tensor, "batch time outputs"]:
        """`x`: spikes 0, 1 of all Input populations side by side, in the graph's order. Returns the readouts side by side; of
        a graph without readouts the spikes of its last population.

        Raises:
            GraphError: wrong number of features, no steps, or values other than 0 and 1.
        """
        sizes = [p.n for p in self.graph.inputs]
        if not x.shape[1] or x.shape[2] != sum(sizes):
            raise GraphError(f"NeuroBench: input of shape {tuple(x.shape)}; wanted (batch, time >= 1, {sum(sizes)} input channels).")
        if not ((x == 0) | (x == 1)).all():
            raise GraphError("NeuroBench: input with values other than 0 and 1; graphs have no graded spikes. Encode the input as spikes.")
        waiting: dict[str, Tensor] = {}
        for p in self.graph.neurons:
            self._membrane(p).reset(len(x))
        for p in self.graph.projections:
            layer = self._layer(p)
            waiting[p.name] = layer.weight.new_zeros(len(x), layer.longest, layer.out_features)
        dtype = next(self.parameters()).dtype
        return torch.stack([self._step(now.to(dtype).split(sizes, -1), waiting) for now in x.unbind(1)], 1)

    def _step(self, now: tuple[Tensor, ...], waiting: dict[str, Tensor]) -> Tensor:
        """One step of all populations, whose spikes then leave on all projections."""
        out = {p.name: z for p, z in zip(self.graph.inputs, now)}
        for p in self.graph.neurons:
            membrane = self._membrane(p)
            arrivals = [self._layer(q).arrived(waiting[q.name]) for q in self.graph.incoming(p.name)]
            out[p.name] = membrane(sum(arrivals, torch.zeros_like(membrane.v)))
        for q in self.graph.projections:
            later = pad(waiting[q.name][:, 1:], (0, 0, 0, 1))
            waiting[q.name] = self._layer(q)(out[q.source], waiting=later)
        shown = self.graph.readouts or self.graph.neurons[-1:]
        return torch.cat([out[p.name] for p in shown], -1)

    def _membrane(self, p: Neurons) -> Membrane:
        return cast(Membrane, self.neurons[_key(p)])

    def _layer(self, p: Projection) -> Synapses:
        return cast(Synapses, self.synapses[_key(p)])


def as_model(graph: Graph) -> Network:
    """The graph, float or integer, as a module in float64, to count and not to train: no parameter asks for gradients.

    Raises:
        GraphError: the graph has no projections, so there is nothing to count.
    """
    if not graph.projections:
        raise GraphError("NeuroBench: the graph has no projections, so there are no connections to count.")
    if graph.plastic:
        raise GraphError(f"NeuroBench: {graph.plastic[0].name!r} is plastic, and its counts know fixed weights alone; see `counts`.")
    return Network(graph).eval()


def _key(part: Neurons | Projection) -> str:
    """A name that `nn.ModuleDict` takes: without "." and unlike any attribute."""
    return f"{type(part).__name__}:{part.name.replace('.', ':')}"
