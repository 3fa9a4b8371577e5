"""neuromorph: take a spiking network from training to neuromorphic hardware.

torch module -> `Graph` (float) -> `quantize` -> `Graph` (integer) -> `backend(name).run` -> `Recording` -> `count` ->
`estimate`. Training lives in `neuromorph.train`, which with `neurobench` is all that imports torch.

Names are loaded when first used, so that `import neuromorph` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromorph.agreement import validate
    from neuromorph.backends import backend
    from neuromorph.compare import decisions
    from neuromorph.counts import count
    from neuromorph.energy import estimate
    from neuromorph.errors import NeuromorphError
    from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection, load, save
    from neuromorph.hardware import load_profile
    from neuromorph.recording import Recording
    from neuromorph.spikes import Spikes, load_spikes, save_spikes

__all__ = [
    "ALIF",
    "LI",
    "LIF",
    "Graph",
    "Input",
    "NeuromorphError",
    "Projection",
    "Recording",
    "Spikes",
    "backend",
    "count",
    "decisions",
    "estimate",
    "load",
    "load_profile",
    "load_spikes",
    "save",
    "save_spikes",
    "validate",
]

_MODULES = {
    "graph": ("ALIF", "LI", "LIF", "Graph", "Input", "Projection", "load", "save"),
    "spikes": ("Spikes", "load_spikes", "save_spikes"),
    "recording": ("Recording",),
    "hardware": ("load_profile",),
    "compare": ("decisions",),
    "agreement": ("validate",),
    "counts": ("count",),
    "energy": ("estimate",),
    "errors": ("NeuromorphError",),
    "backends": ("backend",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'neuromorph' has no attribute {name!r}; it offers {', '.join(__all__)}.")
    return getattr(import_module(f"neuromorph.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
