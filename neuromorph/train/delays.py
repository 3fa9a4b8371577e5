"""Synapses with a fixed delay each: weights sorted by delay, and the weighted input of a whole sequence."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear, pad


def draw_delays(n_target: int, n_source: int, most: int, generator: torch.Generator) -> Int[Tensor, "n_target n_source"]:
    """Delays of 1..most steps, uniform, one for every synapse that may exist (Bellec 2018: drawn once, kept by rewiring)."""
    return torch.randint(1, most + 1, (n_target, n_source), generator=generator)


def longest(delays: Int[Tensor, "n_target n_source"] | None) -> int:
    """The largest delay [steps]; None means one step everywhere."""
    return 1 if delays is None or not delays.numel() else int(delays.max())


def by_delay(
    weights: Float[Tensor, "n_target n_source"], delays: Int[Tensor, "n_target n_source"] | None
) -> Float[Tensor, "delay n_target n_source"]:
    """One matrix a delay, 1 to the longest: the weights of the synapses that have it, 0 elsewhere."""
    if delays is None:
        return weights[None]
    return weights * (delays == torch.arange(1, longest(delays) + 1, device=weights.device)[:, None, None])


def send(
    spikes: Float[Tensor, "*batch n_source"], matrices: Float[Tensor, "delay n_target n_source"]
) -> Float[Tensor, "*batch delay n_target"]:
    """What the spikes of one step add to the drive of the steps 1, 2, ... later; `matrices` as `by_delay` gives them."""
    return linear(spikes, matrices.flatten(0, 1)).unflatten(-1, matrices.shape[:2])


def delayed_linear(
    x: Float[Tensor, "time batch n_source"], weights: Float[Tensor, "n_target n_source"], delays: Int[Tensor, "n_target n_source"] | None
) -> Float[Tensor, "time batch n_target"]:
    """out[t] = sum over synapses of w * x[t + 1 - delay]: what arrives one step after t, as `linear` for delays of one step."""
    if longest(delays) == 1:
        return linear(x, weights)
    matrices = by_delay(weights, delays)
    return _from_past(x, matrices) if x.shape[-1] < len(weights) else _into_future(x, matrices)


def _from_past(x: Float[Tensor, "time batch n_source"], matrices: Float[Tensor, "delay n_target n_source"]) -> Tensor:
    """For few sources: each step looks at the spikes of all delays."""
    past = [pad(x[: len(x) - late], (0, 0, 0, 0, late, 0)) for late in range(min(len(matrices), len(x)))]
    return linear(torch.cat(past, dim=-1), matrices[: len(past)].movedim(0, 1).flatten(1))


def _into_future(x: Float[Tensor, "time batch n_source"], matrices: Float[Tensor, "delay n_target n_source"]) -> Tensor:
    """For few targets: each step sends to the steps of all delays."""
    n_steps, (most, n_target, _) = len(x), matrices.shape
    sent = send(x, matrices).movedim(-2, 1)
    arrival = torch.arange(n_steps, device=x.device)[:, None] + torch.arange(most, device=x.device)
    arrived = sent.new_zeros(n_steps + most - 1, x.shape[1], n_target)
    return arrived.index_add(0, arrival.flatten(), sent.flatten(0, 1))[:n_steps]
