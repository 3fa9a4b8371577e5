"""What NeuroBench finds in a graph."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neuromorph.backends.base import Inputs, match_inputs
from neuromorph.errors import BackendError, GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import Values
from neuromorph.neurobench.network import SpikingNeurons, as_model

if TYPE_CHECKING:
    from neurobench.models import TorchModel

BATCH = 64  # NeuroBench keeps the spikes of every step of a batch


class _Samples(Dataset):
    """Pairs (spikes [time, features] of all Input populations side by side, label)."""

    def __init__(self, graph: Graph, inputs: Inputs, labels: Values) -> None:
        by_name = match_inputs(graph, inputs)
        self.spikes = [by_name[p.name] for p in graph.inputs]
        self.labels = torch.as_tensor(np.array(labels))
        if len(self.labels) != self.spikes[0].n_samples:
            raise GraphError(f"NeuroBench: {len(self.labels)} labels for {self.spikes[0].n_samples} samples; give one each.")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        dense = np.concatenate([s.select([index]).to_dense()[:, 0] for s in self.spikes], axis=1)
        return torch.tensor(dense, dtype=torch.float32), self.labels[index]


def neurobench_model(graph: Graph) -> "TorchModel":
    """The graph as NeuroBench's `Benchmark` takes it; its LIF and ALIF populations are activation modules.

    Predictions are readouts [batch, time, n_out], so that `ChooseMaxCount()` gives the class of the largest sum over time.

    Raises:
        BackendError: NeuroBench is not installed.
        GraphError: see `as_model`.
    """
    try:
        from neurobench.models import TorchModel
    except ImportError as error:
        raise BackendError(f"NeuroBench: {error}; install it: uv pip install --no-deps neurobench==2.3.0 snntorch tqdm.") from error
    model = TorchModel(as_model(graph))
    model.add_activation_module(SpikingNeurons)
    return model


def as_dataloader(graph: Graph, inputs: Inputs, labels: Values, *, batch_size: int = BATCH) -> "DataLoader[tuple[Tensor, Tensor]]":
    """Batches (spikes float32 [batch, time, features], labels [batch]) in the order of the samples, for `Benchmark`.

    `inputs`: one Spikes, or one per Input population by name. `labels`: one a sample, numbers or arrays.

    Raises:
        GraphError: inputs do not fit the graph, or labels are not one a sample.
    """
    return DataLoader(_Samples(graph, inputs, labels), batch_size=batch_size)


def measure(graph: Graph, inputs: Inputs) -> dict[str, float | int]:
    """What NeuroBench's own metric objects say of a graph that runs on `inputs`, per sample where they count operations.

    Keys: ParameterCount, Footprint [bytes], ConnectionSparsity, ActivationSparsity (over all spiking populations),
    Effective_ACs, Effective_MACs, Dense. The head of this file tells what they mean. Their exceptions come out.

    Raises:
        BackendError, GraphError: see `neurobench_model` and `as_dataloader`.
    """
    model = neurobench_model(graph)
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import ActivationSparsity

    found: dict[str, float | int] = {metric.__name__: metric()(model) for metric in (ParameterCount, Footprint, ConnectionSparsity)}
    return found | _run(graph, inputs, model, ActivationSparsity())


def synaptic_operations(graph: Graph, inputs: Inputs) -> dict[str, float | int]:
    """NeuroBench's Effective_ACs, Effective_MACs and Dense operations per sample.

    Effective_ACs * samples equals the sum of `neuromorph.counts.Counts.synops`, Effective_MACs is 0.

    Raises:
        BackendError, GraphError: see `neurobench_model` and `as_dataloader`.
    """
    return _run(graph, inputs, neurobench_model(graph))


def _run(graph: Graph, inputs: Inputs, model: "TorchModel", *averaged: Any) -> dict[str, float | int]:
    """Synaptic operations, and the means over samples of other metrics, of a run on all samples."""
    from neurobench.metrics.workload import SynapticOperations

    first = next(iter(match_inputs(graph, inputs).values()))
    operations, found = SynapticOperations(), {type(metric).__name__: 0.0 for metric in averaged}
    model.register_hooks()
    for data in as_dataloader(graph, inputs, np.zeros(first.n_samples)):
        predictions = model(data[0])
        operations(model, predictions, data)
        for metric in averaged:
            found[type(metric).__name__] += metric(model, predictions, data) * len(data[0]) / first.n_samples
        model.reset_hooks()
    return found | operations.compute()
