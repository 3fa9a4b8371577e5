"""Synapses with a fixed delay each: the weighted input of a whole sequence."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear


def draw_delays(n_target: int, n_source: int, most: int, generator: torch.Generator) -> Int[Tensor, "n_target n_source"]:
    """Delays of 1..most steps, uniform, one for every synapse that may exist (Bellec 2018: drawn once, kept by rewiring)."""
    return torch.randint(1, most + 1, (n_target, n_source), generator=generator)


def delayed_linear(
    x: Float[Tensor, "time batch n_source"], weights: Float[Tensor, "n_target n_source"], delays: Int[Tensor, "n_target n_source"]
) -> Float[Tensor, "time batch n_target"]:
    """out[t] = sum over synapses of w * x[t + 1 - delay]: what arrives one step after t, as `linear` for delays of one step."""
    most = int(delays.max()) if delays.numel() else 1
    if most == 1:
        return linear(x, weights)
    by_delay = weights * (delays == torch.arange(1, most + 1, device=x.device)[:, None, None])
    return _from_past(x, by_delay) if x.shape[-1] < len(weights) else _into_future(x, by_delay)


def _from_past(x: Float[Tensor, "time batch n_source"], by_delay: Float[Tensor, "delay n_target n_source"]) -> Tensor:
    """For few sources: each step looks at the spikes of all delays."""
    past = [torch.nn.functional.pad(x[: len(x) - late], (0, 0, 0, 0, late, 0)) for late in range(min(len(by_delay), len(x)))]
    return linear(torch.cat(past, dim=-1), by_delay[: len(past)].movedim(0, 1).flatten(1))


def _into_future(x: Float[Tensor, "time batch n_source"], by_delay: Float[Tensor, "delay n_target n_source"]) -> Tensor:
    """For few targets: each step sends to the steps of all delays."""
    n_steps, (most, n_target, _) = len(x), by_delay.shape
    sent = linear(x, by_delay.flatten(0, 1)).unflatten(-1, (most, n_target)).movedim(-2, 1)
    arrival = torch.arange(n_steps, device=x.device)[:, None] + torch.arange(most, device=x.device)
    arrived = sent.new_zeros(n_steps + most - 1, x.shape[1], n_target)
    return arrived.index_add(0, arrival.flatten(), sent.flatten(0, 1))[:n_steps]
