"""Names of Lava processes and of the files that they read and write in the folder of a call."""

from neuromorph.graph.graph import Graph


def place(graph: Graph, population: str) -> str:
    """Name of the process of a population."""
    return f"population{[p.name for p in graph.populations].index(population)}"


def synapses_place(graph: Graph, projection: str) -> str:
    """Name of the process of a projection."""
    return f"projection{[q.name for q in graph.projections].index(projection)}"


def signal_place(graph: Graph, signal: str) -> str:
    """Name of the process that plays a third factor."""
    return f"signal{list(graph.third_factors).index(signal)}"


def input_file(graph: Graph, population: str) -> str:
    """Name of the file from which an Input's spikes are played."""
    return f"{place(graph, population)}.npy"


def signal_file(graph: Graph, signal: str) -> str:
    """Name of the file from which a third factor is played."""
    return f"{signal_place(graph, signal)}.npy"


def trace_file(owner: str, variable: str) -> str:
    """Name of the file that takes the record of a variable ("z", "v", "a", "H", "E") of a process."""
    return f"{owner}.{variable}.npy"


def saturation_file(owner: str) -> str:
    """Name of the file that a process writes its saturation counts to."""
    return f"{owner}.saturations.json"
