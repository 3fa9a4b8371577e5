"""What each extra of the package brings, and the commands that install what is missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Extra:
    """`modules`: what its packages are imported as; `gives`: what works with it and does not without."""

    name: str
    modules: tuple[str, ...]
    gives: str

    @property
    def missing(self) -> tuple[str, ...]:
        """Its modules that are not installed; none of them is imported."""
        return tuple(module for module in self.modules if not installed(module))

    @property
    def command(self) -> str:
        """What installs it."""
        return f'pip install "neuromorph[{self.name}]"'


TRAIN = ("torch", "norse", "jaxtyping", "numba", "safetensors", "sklearn")
EXTRAS = {
    extra.name: extra
    for extra in (
        Extra("fast", ("numba",), "the compiled simulator, the default where it is there; the reference computes the same, slowly"),
        Extra("map", ("scipy",), "neurons on cores, cores on the mesh"),
        Extra("train", TRAIN, "training, checkpoints, the demos; the simulator of the extra fast"),
        Extra("brian2", ("brian2",), "Brian2 as a simulator"),
        Extra("report", ("matplotlib", "jinja2"), "HTML reports, pictures"),
        Extra("nir", ("nir", "scipy"), "files of the neuromorphic intermediate representation"),
        Extra("recordings", ("pandas", "xarray", "neo"), "recordings as tables, data sets, Neo's blocks"),
        Extra("distributed", ("distributed",), "simulations on a Dask cluster"),
        Extra("tensorboard", ("tensorboard", *TRAIN), "curves of a training in TensorBoard"),
        Extra("tasks", ("gymnasium", *TRAIN), "tasks as Gymnasium environments"),
    )
}
OTHERS = {
    "lava": "neuromorph lava install",
    "networkx": "neuromorph lava install",
    "asteval": "neuromorph lava install",
    "llvmlite": EXTRAS["fast"].command,
    "markupsafe": EXTRAS["report"].command,
    "triton": EXTRAS["train"].command,
    "quantities": EXTRAS["recordings"].command,
    "neurobench": "pip install --no-deps neurobench==2.3.0",
}
"""Commands for modules that belong to no extra themselves."""


def installed(module: str) -> bool:
    """Whether a module can be found; nothing is imported but the packages around it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def remedy(module: str) -> str | None:
    """The command that installs a module; None if neuromorph has no use for it."""
    name = module.partition(".")[0]
    wanting = [extra for extra in EXTRAS.values() if name in extra.modules]
    return wanting[0].command if wanting else OTHERS.get(name)


def all_missing(module: str) -> Iterable[str]:
    """A missing module, and what else is missing of the first extra that has it."""
    name = module.partition(".")[0]
    return next((extra.missing for extra in EXTRAS.values() if name in extra.missing), (name,))
