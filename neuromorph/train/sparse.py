"""Large sparse projections: only live synapses are stored, with fixed signs and delays that follow from a hash of the pair."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.train.rewiring import NEWBORN

DELAYS, SIGNS = 0, 1  # what a pair's hash is for
MASK32 = 0xFFFFFFFF
BLOCK = 1 << 20  # numbers in an intermediate array at most


class SparseSynapses(nn.Module):
    """A projection of k live synapses; nothing of size n_source * n_target is ever made.

    Synapse i runs from `source[i]` to `target[i]` (int32 buffers [k]) with weight sign * `strength[i]` (parameter [k],
    >= 0 under `SparseDeepR`). Sign and delay are fixed for every pair that may exist, so that a synapse which dies and
    is reborn has them again, as DEEP R demands (Bellec et al. 2018): the sign is that of the source neuron (Dale's
    law) or, without `source_signs`, a coin; the delay is uniform in 1..`max_delay`; coin and delay are `pair_hash`es. All
    but sizes, `max_delay` and `autapses` is in `state_dict()`; `check` what came from elsewhere.

    Args:
        n_source, n_target: sizes.
        source, target: [k] the pairs, each at most once.
        strength: [k] start strengths, >= 0; 0 counts as 1e-12.
        seed: of delays and signs.
        source_signs: [n_source] of +1 and -1, or None.
        max_delay: largest delay in steps, >= 1.
        autapses: whether source and target may be one neuron; False for a recurrent projection.

    Raises:
        TrainingError: a size or shape is wrong, a pair is out of range, double or an autapse, a strength negative.
    """

    source: Tensor
    target: Tensor
    seed: Tensor
    source_signs: Tensor | None

    def __init__(
        self,
        n_source: int,
        n_target: int,
        source: Int[Tensor, " synapses"],
        target: Int[Tensor, " synapses"],
        strength: Float[Tensor, " synapses"],
        *,
        seed: int,
        source_signs: Tensor | None = None,
        max_delay: int = 1,
        autapses: bool = True,
    ) -> None:
        super().__init__()
        self.n_source, self.n_target, self.max_delay, self.autapses = n_source, n_target, max_delay, autapses
        self.register_buffer("source", source.to(torch.int32, copy=True))
        self.register_buffer("target", target.to(torch.int32, copy=True))
        self.register_buffer("seed", torch.tensor(seed & MASK32))
        self.register_buffer("source_signs", None if source_signs is None else source_signs.to(torch.int8, copy=True))
        self.strength = nn.Parameter(strength.detach().clone())
        self.check()
        with torch.no_grad():
            self.strength.clamp_(min=NEWBORN)

    @classmethod
    def draw(
        cls,
        n_source: int,
        n_target: int,
        n_synapses: int,
        *,
        generator: torch.Generator,
        scale: float,
        seed: int,
        source_signs: Tensor | None = None,
        max_delay: int = 1,
        autapses: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> "SparseSynapses":
        """`n_synapses` pairs, uniformly without replacement, with strengths scale * |N(0, 1)|."""
        nothing = torch.empty(0, dtype=torch.int64, device=generator.device)
        codes = draw_pairs(n_source, n_target, n_synapses, nothing, generator, autapses=autapses).sort().values
        strength = scale * torch.randn(n_synapses, generator=generator, device=generator.device, dtype=dtype).abs()
        return cls(
            n_source,
            n_target,
            codes % n_source,
            codes // n_source,
            strength,
            seed=seed,
            source_signs=source_signs,
            max_delay=max_delay,
            autapses=autapses,
        )

    @property
    def codes(self) -> Int64[Tensor, " synapses"]:
        """The pairs as target * n_source + source."""
        return self.target.long() * self.n_source + self.source

    @property
    def signs(self) -> Tensor:
        """+1 or -1 of each live synapse [k], in the number type of `strength`."""
        if self.source_signs is not None:
            return self.source_signs[self.source.long()].to(self.strength)
        coins = pair_hash(int(self.seed), self.source, self.target, SIGNS) >> 31
        return (2 * coins - 1).to(self.strength)

    @property
    def delays(self) -> Int64[Tensor, " synapses"]:
        """Delay of each live synapse in steps, 1..max_delay."""
        if self.max_delay == 1:
            return torch.ones_like(self.source, dtype=torch.int64)
        return 1 + (pair_hash(int(self.seed), self.source, self.target, DELAYS) * self.max_delay >> 32)

    @property
    def weights(self) -> Float[Tensor, " synapses"]:
        """Signed weights; gradients reach `strength`."""
        return self.signs * self.strength

    def forward(self, x: Float[Tensor, "time batch n_source"]) -> Float[Tensor, "time batch n_target"]:
        """out[t] = sum over synapses of w * x[t + 1 - delay], as `delayed_linear`: what arrives one step after t."""
        out = x.new_zeros(*x.shape[:2], self.n_target)
        for delay, part in self._by_delay(len(x)):
            sent = self._send(x[: len(x) + 1 - delay].flatten(0, 1), part).unflatten(0, (-1, x.shape[1]))
            out = out + nn.functional.pad(sent, (0, 0, 0, 0, delay - 1, 0))
        return out

    def arriving(self, past: Float[Tensor, "time batch n_source"]) -> Float[Tensor, "batch n_target"]:
        """The last step of `forward(past)` alone: what the spikes so far (past[-1] the latest) bring in the next step."""
        out = past.new_zeros(past.shape[1], self.n_target)
        for delay, part in self._by_delay(len(past)):
            out = out + self._send(past[-delay], part)
        return out

    def _by_delay(self, n_steps: int) -> Iterator[tuple[int, Tensor]]:
        """Each delay up to n_steps and the places of its synapses."""
        delays = self.delays
        for delay in range(1, min(self.max_delay, n_steps) + 1):
            yield delay, (delays == delay).nonzero().squeeze(1)

    def _send(self, x: Float[Tensor, "rows n_source"], part: Int64[Tensor, " part"]) -> Float[Tensor, "rows n_target"]:
        return SparseLinear.apply(x, self.weights[part], self.source[part], self.target[part], self.n_target)  # pyright: ignore[reportReturnType]

    def check(self) -> None:
        """Whether pairs, strengths and signs are possible ones.

        Raises:
            TrainingError: as on construction.
        """
        k, strength = len(self.source), self.strength
        if self.n_source < 1 or self.n_target < 1 or self.max_delay < 1:
            raise TrainingError(f"SparseSynapses: sizes {self.n_source} -> {self.n_target}, max_delay {self.max_delay}; all at least 1.")
        if len(self.target) != k or len(strength) != k:
            raise TrainingError(f"SparseSynapses: {k} sources, {len(self.target)} targets, {len(strength)} strengths; give one each.")
        for name, ends, n in (("source", self.source, self.n_source), ("target", self.target, self.n_target)):
            if k and not 0 <= int(ends.min()) <= int(ends.max()) < n:
                raise TrainingError(f"SparseSynapses: {name} reaches {int(ends.min())}..{int(ends.max())}; allowed 0..{n - 1}.")
        if len(self.codes.unique()) != k:
            raise TrainingError("SparseSynapses: a pair is given twice; add such synapses up.")
        if not self.autapses and (self.source == self.target).any():
            raise TrainingError("SparseSynapses: a neuron is connected to itself; allow autapses or leave such pairs out.")
        if not (strength.isfinite() & (strength >= 0)).all():
            raise TrainingError("SparseSynapses: strengths must be finite numbers >= 0; the sign belongs to the pair.")
        if self.source_signs is not None and (self.source_signs.shape != (self.n_source,) or (self.source_signs.abs() != 1).any()):
            raise TrainingError(f"SparseSynapses: source_signs must be {self.n_source} numbers, each +1 or -1.")


class SparseLinear(torch.autograd.Function):
    """x [rows, n_source] times a sparse matrix of k weights, in blocks so that memory does not grow with rows * k."""

    @staticmethod
    def forward(ctx, x: Tensor, weights: Tensor, source: Tensor, target: Tensor, n_target: int) -> Tensor:
        ctx.save_for_backward(x, weights, source, target)
        return _spread(x, weights, source, target, n_target)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, weights, source, target = ctx.saved_tensors
        g = gradients[0]
        to_x = _spread(g, weights, target, source, x.shape[1]) if ctx.needs_input_grad[0] else None
        to_weights = None
        if ctx.needs_input_grad[1]:
            xt, gt = x.t().contiguous(), g.t().contiguous()
            to_weights = torch.cat([(xt[i] * gt[j]).sum(1) for i, j in zip(_blocks(source, len(x)), _blocks(target, len(x)))])
        return to_x, to_weights, None, None, None


def draw_pairs(
    n_source: int,
    n_target: int,
    n: int,
    live: Int64[Tensor, " live"],
    generator: torch.Generator,
    *,
    autapses: bool = True,
) -> Int64[Tensor, " n"]:
    """n codes target * n_source + source, uniformly without replacement from all pairs that are not in `live` (sorted).

    Rejection sampling: codes are drawn from all pairs, and those that are live, autapses where not allowed, or drawn
    before are dropped. Expected draws: n / (share of dormant pairs), little more than n in a sparse net.

    Raises:
        TrainingError: there are fewer than n such pairs.
    """
    size = n_source * n_target
    dormant = size - (0 if autapses else min(n_source, n_target)) - len(live)
    if n > dormant:
        raise TrainingError(f"Sparse net {n_source} -> {n_target}: {n} new synapses, but {dormant} pairs are free; lower connectivity.")
    drawn = torch.empty(0, dtype=torch.int64, device=live.device)
    while len(drawn) < n:
        batch = min(BLOCK, 16 + int(1.1 * (n - len(drawn)) * size / (dormant - len(drawn))))
        codes = torch.randint(1 << 62, (batch,), generator=generator, device=generator.device).to(live.device) % size
        if not autapses:
            codes = codes[codes % n_source != codes // n_source]
        drawn = _first_occurrences(torch.cat([drawn, codes[~contains(live, codes)]]))
    return drawn[:n]


def contains(ascending: Int64[Tensor, " n"], codes: Int64[Tensor, " m"]) -> Tensor:
    """Which of `codes` are in a sorted tensor [m]."""
    if not len(ascending):
        return torch.zeros_like(codes, dtype=torch.bool)
    return ascending[torch.searchsorted(ascending, codes).clamp(max=len(ascending) - 1)] == codes


def pair_hash(seed: int, source: Int32[Tensor, " k"], target: Int32[Tensor, " k"], purpose: int) -> Int64[Tensor, " k"]:
    """32 well mixed bits for each pair, in an int64: h = mix(h + value + 0x9E3779B9) over seed, purpose, source, target.

    mix(h): h ^= h >> 16; h *= 0x21F0AAAD; h ^= h >> 15; h *= 0x735A2D97; h ^= h >> 15, all modulo 2^32 ("lowbias32", a
    bijection with little bias). Both factors are below 2^31, so 64 bits hold every product.
    """
    h = torch.zeros((), dtype=torch.int64, device=source.device)
    for value in (seed & MASK32, purpose, source.long(), target.long()):
        h = (h + value + 0x9E3779B9) & MASK32
        h = h ^ (h >> 16)
        h = (h * 0x21F0AAAD) & MASK32
        h = h ^ (h >> 15)
        h = (h * 0x735A2D97) & MASK32
        h = h ^ (h >> 15)
    return h


def _first_occurrences(codes: Tensor) -> Tensor:
    """`codes` in their order, each kept once, at its first place."""
    ordered, places = torch.sort(codes, stable=True)
    again = torch.zeros_like(codes, dtype=torch.bool)
    again[places[1:]] = ordered[1:] == ordered[:-1]
    return codes[~again]


def _spread(x: Tensor, weights: Tensor, source: Tensor, target: Tensor, n_target: int) -> Tensor:
    """[rows, n_target]: what x [rows, n_source] sends along the synapses."""
    xt, out = x.t().contiguous(), x.new_zeros(n_target, len(x))
    for w, i, j in zip(_blocks(weights, len(x)), _blocks(source, len(x)), _blocks(target, len(x))):
        out.index_add_(0, j, xt[i] * w[:, None])
    return out.t()


def _blocks(per_synapse: Tensor, rows: int) -> tuple[Tensor, ...]:
    return per_synapse.split(max(1, BLOCK // max(1, rows)))
