"""The LSNN of Bellec 2018 with live synapses alone: memory and time grow with their number, never with N x N."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.graph.populations import decay_factor
from neuromorph.train.compiled import can_run_edges, run_edges
from neuromorph.train.constants import LSNNConstants
from neuromorph.train.kernels.sequence import Result
from neuromorph.train.losses import check_window, mean_readout, overshoots
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import Decision, Frames, initial_scale
from neuromorph.train.neurons import LSNNState, fire, silence
from neuromorph.train.readout import LeakyReadout
from neuromorph.train.sparse import SparseSynapses

Shares: TypeAlias = float | Mapping[str, float]
"""One share of the possible synapses for every projection, or one by name."""


class SparseLSNN(nn.Module):
    """Input spikes [time, batch, n_in] to readout traces y [time, batch, n_out] and hidden spikes z [time, batch, n].

    `forward`, `decide` and `frames` mean what they mean in `LSNN`. All three projections ("input", "recurrent", "readout")
    are `SparseSynapses`, so that one rule (`SparseDeepR`) rewires them all, each with its own fixed number of synapses. Only
    the readout's n_out x n is laid out as a matrix, and only while a batch is at work, because the kernel reads it so.

    Sparse and signed from the start: `connectivity` of the possible pairs (no autapses) are drawn from `generator`, with
    signs as `LSNN.signs` has them (Dale's law; of the input by synapse or by neuron), random delays up to those of
    `config`, and strengths as `LSNN.initialise` leaves them: scaled for their fan-in, inhibition balanced with excitation,
    potentials that wander by `hidden_scale` thresholds.

    `compiled`: on the CPU run by the compiled kernel where it can; else by PyTorch's loop, the oracle.

    Raises:
        TrainingError: `n_in`, `n_out`, `dt` or a connectivity is out of range; the configuration has several layers or directions.
    """

    def __init__(
        self,
        config: LSNNConfig,
        n_in: int,
        n_out: int,
        *,
        connectivity: Shares,
        dt: float = 1e-3,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        compiled: bool = True,
        hidden_scale: float = 1.0,
    ) -> None:
        super().__init__()
        check_shape(config)
        for name, value in {"n_in": n_in, "n_out": n_out, "dt": dt}.items():
            if not value > 0:
                raise TrainingError(f"SparseLSNN: {name} is {value}; it must be positive.")
        self.config, self.n_in, self.n_out, self.dt, self.compiled = config, n_in, n_out, dt, compiled
        options = {"surrogate": config.spike_function(), "learned": config.bounds(), "dt": dt, "dtype": dtype}
        self.p = LSNNConstants.of(*config.populations(dt), **options)
        no_weights = nn.Parameter(torch.empty(n_out, 0, dtype=dtype), requires_grad=False)  # those are the readout projection's
        self.readout = LeakyReadout(0, n_out, decay_v=decay_factor(config.tau_out, dt), weights=no_weights, dtype=dtype)
        self.connectivity = _shares(connectivity)
        self.synapses = nn.ModuleDict()
        for name, share in self.connectivity.items():
            scale = 1.0 if name == "readout" else hidden_scale
            self.synapses[name] = self._draw(name, share, scale, generator, dtype)

    def _draw(self, name: str, share: float, hidden_scale: float, generator: torch.Generator, dtype: torch.dtype) -> SparseSynapses:
        config, n = self.config, self.config.n
        n_source, n_target = {"input": (self.n_in, n), "recurrent": (n, n), "readout": (n, self.n_out)}[name]
        autapses = name != "recurrent"
        k = round(share * (n_source * n_target - (0 if autapses else n)))
        fan_in = max(k, 1) / n_target
        drawn = SparseSynapses.draw(
            n_source,
            n_target,
            k,
            generator=generator,
            scale=hidden_scale * initial_scale(config, self.dt, name) / fan_in**0.5,
            seed=int(torch.randint(2**32, (), generator=generator)),
            source_signs=self._input_signs(generator) if name == "input" else self._hidden_signs(),
            max_delay=getattr(config, f"max_{name}_delay"),
            autapses=autapses,
            dtype=dtype,
        )
        _balance(drawn)
        return drawn

    def _input_signs(self, generator: torch.Generator) -> Tensor | None:
        if self.config.input_signs == "synapse":
            return None
        return torch.where(torch.randperm(self.n_in, generator=generator) < self.n_in // 4, -1, 1)

    def _hidden_signs(self) -> Tensor:
        signs = torch.ones(self.config.n, dtype=torch.int8)
        signs[self.config.n_excitatory : self.config.n_excitatory + self.config.n_inhibitory] = -1
        return signs

    def projections(self) -> dict[str, SparseSynapses]:
        """By name: "input", "recurrent", "readout"."""
        return {name: each for name, each in self.synapses.items() if isinstance(each, SparseSynapses)}

    def check(self) -> None:
        """See `SparseSynapses.check`."""
        for projection in self.projections().values():
            projection.check()

    def strengths(self) -> dict[str, nn.Parameter]:
        """What is trained of each projection [live synapses], by name."""
        return {name: projection.strength for name, projection in self.projections().items()}

    def time_constants(self) -> dict[str, nn.Parameter]:
        """The raw parameters of learned time constants, see `LSNN.time_constants`."""
        return self.p.time_constants()

    def forward(self, x: Shaped[Tensor, "time batch n_in"]) -> tuple[Float[Tensor, "time batch n_out"], Float[Tensor, "time batch n"]]:
        if self._fused():
            r = self._run(x, None, spikes=True)
            assert r.readout is not None
            assert r.spikes is not None
            return r.readout, r.spikes
        z = torch.stack([s.z for s in self.states(x)])
        return self._read(z), z

    def decide(self, x: Shaped[Tensor, "time batch n_in"], window: int, overshoot: bool = False) -> Decision:
        """Readout averaged over the last `window` steps, rates, and `overshoot` if asked for."""
        if self._fused():
            check_window(window, len(x))
            r = self._run(x, window, overshoot=overshoot)
            assert r.readout is not None
            return Decision(r.readout, r.rates, r.overshoot)
        y, rates, outside = self._loop(x, overshoot)
        return Decision(mean_readout(y, window), rates, outside)

    def frames(self, x: Shaped[Tensor, "time batch n_in"], overshoot: bool = False) -> Frames:
        """Readout of every step, rates, and `overshoot` if asked for."""
        if self._fused():
            r = self._run(x, None, overshoot=overshoot)
            assert r.readout is not None
            return Frames(r.readout, r.rates, r.overshoot)
        return Frames(*self._loop(x, overshoot))

    def states(self, x: Shaped[Tensor, "time batch n_in"]) -> Iterator[LSNNState]:
        """The hidden neurons after each step, by PyTorch alone."""
        inputs, recurrent, _ = self.projections().values()
        c, form = self.p.values(), self.p.form
        on, s, past = c.active(), silence((x.shape[1],), self.p), list[Tensor]()
        for drive in inputs(x.to(c.v_th)).unbind(0):
            s = fire(s, c, on, form)
            past = [*past, s.z][-recurrent.max_delay :]
            s = s._replace(drive=drive + recurrent.arriving(torch.stack(past)))
            yield s

    def _fused(self) -> bool:
        return self.compiled and can_run_edges(self.p)

    def _run(self, x: Tensor, window: int | None, *, spikes: bool = False, overshoot: bool = False) -> Result:
        """All of it in one call of the kernel."""
        return run_edges(self.p, x, self.projections(), self.readout, window=window, spikes=spikes, overshoot=overshoot)

    def _loop(self, x: Tensor, overshoot: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Readout of every step, rates and overshoot by PyTorch."""
        z, v, theta = (torch.stack(trace) for trace in zip(*((s.z, s.v, s.theta) for s in self.states(x))))
        return self._read(z), z.mean((0, 1)), overshoots(v, theta) if overshoot else z.new_zeros(self.p.n)

    def _read(self, z: Float[Tensor, "time batch n"]) -> Float[Tensor, "time batch n_out"]:
        y, _ = self.readout.integrate(self.projections()["readout"](z))
        return y


def check_shape(config: LSNNConfig) -> None:
    """Whether live storage knows this network.

    Raises:
        TrainingError: several layers, or two directions.
    """
    if config.n_layers > 1 or config.bidirectional:
        raise TrainingError(
            f"Live synapses alone are stored for one hidden layer that runs forwards; got n_layers = {config.n_layers}, bidirectional = "
            f"{config.bidirectional}. Set n_layers = 1 and bidirectional = false, or store matrices."
        )


def _shares(connectivity: Shares) -> dict[str, float]:
    names = ("input", "recurrent", "readout")
    shares = dict(connectivity) if isinstance(connectivity, Mapping) else dict.fromkeys(names, connectivity)
    if shares.keys() != set(names) or not all(0 < share <= 1 for share in shares.values()):
        raise TrainingError(
            f"SparseLSNN: connectivity is {connectivity}; allowed: above 0, up to 1, for all or for each of {', '.join(names)}."
        )
    return {name: shares[name] for name in names}


@torch.no_grad()
def _balance(projection: SparseSynapses) -> None:
    """Scale inhibition to the sum of excitation, as Bellec 2018's initialisation does."""
    inhibitory, strength = projection.signs < 0, projection.strength
    excitation, inhibition = strength[~inhibitory].sum(), strength[inhibitory].sum()
    if excitation > 0 and inhibition > 0:
        strength.copy_(torch.where(inhibitory, strength * (excitation / inhibition), strength))
