"""Configurations of training runs that come with the package, by name. Looking for them needs no framework."""

import os
from pathlib import Path

from neuromorph.errors import TrainingError

FOLDER = Path(__file__).parent


def shipped() -> list[str]:
    """Their names, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def find_config(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a shipped configuration by its name, or a file of your own by its path, which ends in .toml.

    Raises:
        TrainingError: there is no configuration of that name.
    """
    name = os.fspath(name_or_path)
    if name.endswith(".toml"):
        return Path(name)
    if name not in shipped():
        raise TrainingError(f"Configuration {name!r} is unknown; there are {', '.join(shipped())}, or give a path ending in .toml.")
    return FOLDER / f"{name}.toml"
