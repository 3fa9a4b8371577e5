"""Graphs as PyTorch modules whose operations NeuroBench counts, and what it finds.

Yik et al. 2025, "The NeuroBench framework for benchmarking neuromorphic computing algorithms and systems" (Nature
Communications 16, 1545), version 2.3.0. Its `Effective_ACs` are the synaptic operations of `neuromorph.counts`, mean over
samples: one for every nonzero weight of every emitted spike, counted at the step of the spike, whatever its delay.
Where its numbers mean something else than one may think:

- Only synapses are counted: no neuron update, bias or message. `MembraneUpdates` is 0 and `NeuronOperations` fails, since
  both know snntorch's neurons alone; `Benchmark` prints a metric's exception and reports 0.0. `measure` does not catch it.
- A call counts as accumulates (AC) where its input holds only 0, 1, -1, thus also where nothing fired; with graded spikes
  as multiply-accumulates (MAC). Graphs have no graded spikes, and the module refuses them.
- Operations of one call (a projection at one step of one batch) are summed in the layer's type. Here it is float64, exact
  below 2^53; after `.float()` sums above 2^24 are rounded.
- `Dense` is n_source * n_target per projection and step. `ConnectionSparsity` compares with the same full matrices.
- `Footprint` is what the module holds: 8 bytes for each entry of every full weight matrix, of a matrix of delays where one
  exceeds a step, and of every neuron constant. It tells nothing of a chip's memory.
"""

from neuromorph.neurobench.metrics import as_dataloader, measure, neurobench_model, synaptic_operations
from neuromorph.neurobench.network import Network, SpikingNeurons, Synapses, as_model

__all__ = ["Network", "SpikingNeurons", "Synapses", "as_dataloader", "as_model", "measure", "neurobench_model", "synaptic_operations"]
