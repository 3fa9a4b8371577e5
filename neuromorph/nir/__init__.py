"""The neuromorphic intermediate representation (NIR, Pedersen et al. 2024): read safely, imported, exported."""

from neuromorph.nir.exporter import Exported, export_nir
from neuromorph.nir.file import NIRGraph, Node, read
from neuromorph.nir.importer import Imported, import_nir
from neuromorph.nir.neurons import Stepping
from neuromorph.nir.sidecar import load_nir, write_nir

__all__ = ["Exported", "Imported", "NIRGraph", "Node", "Stepping", "export_nir", "import_nir", "load_nir", "read", "write_nir"]
