"""Processes that train one network together: each takes its share of every batch, and all end with the same bits.

Whatever is exchanged is gathered and added in rank order, so that sums do not depend on who is first. Torch's
`torch.distributed` carries it: gloo between CPUs, NCCL between GPUs.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Num, Shaped
from torch import Tensor

from neuromorph.dataset import DenseInput, Samples
from neuromorph.errors import TrainingError
from neuromorph.graph.populations import Values
from neuromorph.shapes import Int64
from neuromorph.spikes import Spikes


@dataclass(frozen=True)
class Ranks:
    """This process is number `rank`, 0 .. size - 1, of `size` that train together; by default one alone."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, n: int) -> Int64[np.ndarray, " share"]:
        """This rank's part of 0 .. n - 1: consecutive, sizes differ by one at most, empty where there are more ranks than n."""
        return np.arange(self.rank * n // self.size, (self.rank + 1) * n // self.size)


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that torchrun started (it tells them by RANK, WORLD_SIZE, ...); without it, one alone.

    Each process uses the GPU of its number on its machine as "cuda", where there is one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield Ranks()
        return
    if gpus := torch.cuda.device_count():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % gpus)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def gather(ranks: Ranks, values: Num[Tensor, "..."]) -> list[Tensor]:
    """The `values` of every rank, in rank order; equal shapes on all."""
    if ranks.size == 1:
        return [values]
    rows = [torch.empty_like(values) for _ in range(ranks.size)]
    dist.all_gather(rows, values.contiguous())
    return rows


def total(ranks: Ranks, values: Num[Tensor, "..."]) -> Tensor:
    """The sum over all ranks, with the same bits on each."""
    return reduce(torch.add, gather(ranks, values))


def largest(ranks: Ranks, number: int) -> int:
    """The largest of all ranks' numbers; nobody goes on before all have come here."""
    return max(int(each) for each in gather(ranks, torch.tensor(int(number))))


class _WeightedSum(torch.autograd.Function):
    """Sum over ranks of weight * values. Backwards: this rank's part of the gradient; the parts add up to the whole."""

    @staticmethod
    def forward(ctx, values: Tensor, weight: float, ranks: Ranks) -> Tensor:
        ctx.weight = weight
        return total(ranks, weight * values)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.weight * gradients[0], None, None


def mean_over(ranks: Ranks, weight: float, *means: Shaped[Tensor, "..."]) -> tuple[Tensor, ...]:
    """Means over each rank's samples to means over those of all ranks; `weight`: this rank's share of the samples.

    A loss of the results may be any function, such as the square of a rate: where every rank computes it and its gradients
    are summed over ranks (`sum_gradients`), they are those of one process with all samples.
    """
    if ranks.size == 1:
        return means
    flat = torch.cat([each.flatten() for each in means])
    found = _WeightedSum.apply(flat, weight, ranks).split([each.numel() for each in means])  # pyright: ignore[reportOptionalMemberAccess]
    return tuple(part.view(each.shape) for part, each in zip(found, means))


def sum_gradients(ranks: Ranks, parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace gradients by their sums over ranks, all in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if ranks.size == 1 or not gradients:
        return
    summed = total(ranks, torch.cat([each.flatten() for each in gradients]))
    for each, part in zip(gradients, summed.split([each.numel() for each in gradients])):
        each.copy_(part.view(each.shape))


def check_masks(ranks: Ranks, digest: str, update: int) -> None:
    """Compare the masks' hex digests (`Rewiring.digest`) of all ranks.

    Raises:
        TrainingError: on every rank, if there is more than one.
    """
    holders: dict[str, list[int]] = {}
    for rank, row in enumerate(gather(ranks, torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8))):
        holders.setdefault(bytes(row.tolist()).hex(), []).append(rank)
    if len(holders) > 1:
        told = "; ".join(f"rank{'s' * (len(who) > 1)} {', '.join(map(str, who))}: {each[:8]}..." for each, who in holders.items())
        raise TrainingError(
            f"DEEP R: after update {update} the active synapses are not the same on all ranks (digests: {told}). Use equal "
            "machines and versions of torch on all ranks, then go on from the last saved state with --resume."
        )


@dataclass(frozen=True, eq=False)
class Share:
    """Samples of a part that one rank evaluates, by their indices."""

    part: Samples
    chosen: Int64[np.ndarray, " samples"]

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def labels(self) -> Int64[np.ndarray, " samples"]:
        return self.part.labels[self.chosen]

    @property
    def n_steps(self) -> int:
        return self.part.n_steps

    @property
    def n_neurons(self) -> int:
        return self.part.n_neurons

    @property
    def dt(self) -> float:
        return self.part.dt

    @property
    def spikes(self) -> Spikes:
        return self.part.spikes.select(self.chosen)

    def dense(self, chosen: Values) -> DenseInput:
        """See `Samples.dense`."""
        return self.part.dense(self.chosen[np.asarray(chosen, dtype=np.int64)])

    def head(self, n: int) -> "Share":
        """The first n samples."""
        return Share(self.part, self.chosen[:n])
