"""Where the populations and projections of an exported graph lie in an LSNN's matrices."""

from typing import NamedTuple

from neuromorph.train.network import LSNN

INPUT, READOUT = "input", "readout"


class Block(NamedTuple):
    """A projection's part [rows, columns] of the matrix [n_target, n_source] that `LSNN.weights` calls `matrix`."""

    source: str
    target: str
    matrix: str
    rows: slice
    columns: slice

    @property
    def projection(self) -> str:
        return f"{self.source}->{self.target}"


def layer_populations(model: LSNN) -> dict[str, dict[str, slice]]:
    """Populations of each hidden layer, by its suffix (see `LSNNConfig.suffixes`), and which of its neurons they are."""
    found: dict[str, dict[str, slice]] = {}
    for suffix in model.layers():
        first, found[suffix] = 0, {}
        for p in model.config.populations(model.dt):
            found[suffix][p.name + suffix] = slice(first, first + p.n)
            first += p.n
    return found


def blocks(model: LSNN) -> list[Block]:
    """Every projection that an export of the model may have. The model is not bidirectional."""
    below = {INPUT: slice(0, model.n_in)}
    pairs: list[tuple[str, dict[str, slice], dict[str, slice]]] = []
    for suffix, layer in layer_populations(model).items():
        pairs += [(f"input{suffix}", below, layer), (f"recurrent{suffix}", layer, layer)]
        below = layer
    pairs.append((READOUT, below, {READOUT: slice(0, model.n_out)}))
    return [
        Block(source, target, matrix, rows, columns)
        for matrix, sources, targets in pairs
        for target, rows in targets.items()
        for source, columns in sources.items()
    ]
