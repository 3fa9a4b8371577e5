"""The graph format: populations, projections, validation, HDF5. Depends on numpy and h5py alone."""

from neuromorph.graph.graph import Graph
from neuromorph.graph.hdf5 import load, save
from neuromorph.graph.plasticity import FixedPoint, Plasticity
from neuromorph.graph.populations import ALIF, LI, LIF, Input, Population
from neuromorph.graph.projections import Projection

__all__ = ["ALIF", "LI", "LIF", "FixedPoint", "Graph", "Input", "Plasticity", "Population", "Projection", "load", "save"]
