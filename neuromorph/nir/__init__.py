"""The neuromorphic intermediate representation (NIR, Pedersen et al. 2024): read safely, imported, exported."""

from neuromorph.nir.file import NIRGraph, Node, read
from neuromorph.nir.importer import Imported, import_nir, load_nir
from neuromorph.nir.neurons import Stepping

__all__ = ["Imported", "NIRGraph", "Node", "Stepping", "import_nir", "load_nir", "read"]
