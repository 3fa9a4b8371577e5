"""Nested NIR graphs as one flat one: the Input and Output of a graph within become nodes that hand on what they get."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuromorph.errors import FormatError
from neuromorph.nir.file import NIRGraph, Node

PASS = "pass"
"""Kind of a node that hands on its input."""


@dataclass(frozen=True, eq=False)
class Flat:
    """`nodes` by path ("a/b" is b in the graph a), `edges` between paths."""

    nodes: Mapping[str, Node]
    edges: Sequence[tuple[str, str]]

    def into(self, path: str) -> list[str]:
        """Where a node's input comes from, in the order of the edges."""
        return [source for source, target in self.edges if target == path]


def flatten(graph: NIRGraph) -> Flat:
    """Raises:
    FormatError: a graph within lacks its Input or Output, or has several.
    """
    nodes, edges = dict[str, Node](), list[tuple[str, str]]()
    _collect(graph, "", nodes, edges)
    return Flat(nodes, list(dict.fromkeys(edges)))


def _collect(graph: NIRGraph, prefix: str, nodes: dict[str, Node], edges: list[tuple[str, str]]) -> None:
    entries, exits = dict[str, str](), dict[str, str]()
    for name, node in graph.nodes.items():
        path = f"{prefix}{name}"
        if isinstance(node, Node):
            nodes[path] = Node(PASS, node.fields) if prefix and node.kind in ("Input", "Output") else node
            entries[name] = exits[name] = path
            continue
        _collect(node, f"{path}/", nodes, edges)
        entries[name], exits[name] = (f"{path}/{_only(node, kind, path)}" for kind in ("Input", "Output"))
    edges += [(exits[source], entries[target]) for source, target in graph.edges]


def _only(graph: NIRGraph, kind: str, path: str) -> str:
    found = [name for name, node in graph.nodes.items() if isinstance(node, Node) and node.kind == kind]
    if len(found) != 1:
        raise FormatError(f"NIR: the graph {path!r} within has {len(found)} nodes of kind {kind}; it must have one.")
    return found[0]
