"""What commands on saved graphs begin with: the model and the spikes it is to be run on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from neuromorph.graph import Graph
    from neuromorph.learning import Learning
    from neuromorph.spikes import Spikes

CHIP = "Chip: a profile name (see `neuromorph profiles list`) or a .toml file."

Model = Annotated[Path, typer.Argument(help="Graph file (.h5), as written by `neuromorph export` or `quantize`.")]
Inputs = Annotated[Path, typer.Argument(help="Spike file (.h5) with one array for each Input population.")]
Samples = Annotated[int | None, typer.Option(min=1, help="Use only the first N samples.")]
Plastic = Annotated[list[str] | None, typer.Option(metavar="PROJECTION", help="Its synapses are plastic; repeat for more [none].")]
Epoch = Annotated[int, typer.Option(min=1, help="Steps between updates of plastic synapses.")]
Rules = Annotated[int, typer.Option(min=1, max=3, help="Rules of a plastic synapse: of its weight, tag, delay.")]


def load_model_and_spikes(model: Path, inputs: Path, samples: int | None) -> "tuple[Graph, dict[str, Spikes], Any]":
    """The graph, and what `load_spikes_and_labels` gives."""
    from neuromorph.graph import load

    return load(model), *load_spikes_and_labels(inputs, samples)


def load_spikes_and_labels(inputs: Path, samples: int | None) -> "tuple[dict[str, Spikes], Any]":
    """Spikes of the first `samples` (None: all) by Input population, and their labels (None: the file has none)."""
    import numpy as np

    from neuromorph.spikes import load_labels, load_spikes

    spikes, labels = load_spikes(inputs), load_labels(inputs)
    if samples is not None:
        spikes = {name: s.select(np.arange(min(samples, s.n_samples))) for name, s in spikes.items()}
        labels = None if labels is None else labels[:samples]
    return spikes, labels


def decision_window(graph: "Graph") -> int | None:
    """Steps at the end over which the readout decides, where training left it in the metadata."""
    window = graph.metadata.get("decision_window", "")
    return int(window) if window.isdigit() else None


def chosen_learning(plastic: list[str] | None, epoch: int, rules: int) -> "Learning | None":
    """The plastic synapses that the options name; None where there are none."""
    from neuromorph.learning import Learning

    return Learning(tuple(plastic), epoch, rules) if plastic else None
