"""From a graph to the cores of a chip: does it fit, where does it go, what travels between."""

from neuromorph.mapping.activity import core_load
from neuromorph.mapping.check import CheckReport, check
from neuromorph.mapping.chip_map import ChipMap, load_map, load_of, load_on, map_to_chip, save_map
from neuromorph.mapping.load import CoreLoad, Load
from neuromorph.mapping.mesh import Mesh
from neuromorph.mapping.partition import Partition, partition
from neuromorph.mapping.placement import Placement, place
from neuromorph.mapping.traffic import Traffic, traffic

__all__ = [
    "CheckReport",
    "ChipMap",
    "CoreLoad",
    "Load",
    "Mesh",
    "Partition",
    "Placement",
    "Traffic",
    "check",
    "core_load",
    "load_map",
    "load_of",
    "load_on",
    "map_to_chip",
    "partition",
    "place",
    "save_map",
    "traffic",
]
