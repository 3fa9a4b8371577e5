"""What the shell offers on TAB: names of profiles, simulators, configurations, tasks, data sets. Imports neither numpy nor a framework.

Each takes what has been typed. A completion that fails offers nothing and says nothing.
"""

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path


def profiles(incomplete: str) -> list[str]:
    """Ids and short names of profiles, and .toml files."""
    return [*_beginning(incomplete, _profiles), *_files(incomplete)]


def backends(incomplete: str) -> list[str]:
    """Simulators, whether or not they are installed."""
    return _beginning(incomplete, _backends)


def simulators(incomplete: str) -> list[str]:
    """Backends, and PyTorch."""
    return _beginning(incomplete, lambda: [*_backends(), "torch"])


def configs(incomplete: str) -> list[str]:
    """Configurations of trainings, and .toml files."""
    return [*_beginning(incomplete, _configs), *_files(incomplete)]


def settings(incomplete: str) -> list[str]:
    """The task of a configuration, which is the setting that names something."""
    return _beginning(incomplete, lambda: [f"task.name={name}" for name in _tasks()])


def data_sets(incomplete: str) -> list[str]:
    """Those that `neuromorph data fetch` gets."""
    return _beginning(incomplete, _data_sets)


def _beginning(typed: str, names: Callable[[], Iterable[str]]) -> list[str]:
    """Those names that begin as typed; none where they cannot be told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return sorted(name for name in names() if name.startswith(typed))
    except Exception:
        return []


def _files(typed: str) -> list[str]:
    """Paths of .toml files, and of folders with a slash, that begin as typed."""
    try:
        start = typed.rpartition("/")[2]
        head = typed.removesuffix(start)
        found = sorted(p for p in Path(head or ".").iterdir() if p.name.startswith(start) and (start or not p.name.startswith(".")))
        return [f"{head}{p.name}{'/' * p.is_dir()}" for p in found if p.is_dir() or p.suffix == ".toml"]
    except OSError:
        return []


def _profiles() -> Iterable[str]:
    from neuromorph.profile_folders import ALIASES, profile_files

    return {*ALIASES, *profile_files()}


def _backends() -> Iterable[str]:
    from neuromorph.plugins import BACKENDS, plugins

    return plugins(BACKENDS)


def _configs() -> Iterable[str]:
    from neuromorph.configs import shipped

    return shipped()


def _tasks() -> Iterable[str]:
    from neuromorph.plugins import TASKS, plugins

    return plugins(TASKS)


def _data_sets() -> Iterable[str]:
    from neuromorph.data.resources import COLLECTIONS

    return COLLECTIONS
