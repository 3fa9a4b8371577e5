"""What is installed here."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "neuromorph",
    "numpy",
    "h5py",
    "torch",
    "norse",
    "brian2",
    "lava-nc",
    "numba",
    "scipy",
    "distributed",
    "neurobench",
    "scikit-learn",
    "matplotlib",
    "jinja2",
    "safetensors",
    "nir",
    "pandas",
    "xarray",
    "neo",
    "gymnasium",
    "tensorboard",
)


def versions() -> dict[str, str | None]:
    """Python and packages by name; None where one is missing."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
