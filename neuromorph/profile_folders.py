"""Where profiles lie: in the package, in those of plug-ins, in the user's folders. Looking for them reads none."""

import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any

from neuromorph.errors import PluginError, ProfileError
from neuromorph.plugins import PROFILES, Plugin, plugins, warn

ALIASES = {"loihi2": "loihi2_estimate", "akida": "akida_akd1000", "innatera": "innatera_t1", "xylo": "xylo_audio2"}
FOLDERS = "NEUROMORPH_PROFILES"  # environment variable: folders of your own profiles, separated as in PATH
SHIPPED = "shipped"


def shipped_folder() -> Traversable:
    """The profiles inside an installed wheel, or beside the package in a source checkout."""
    inside = resources.files("neuromorph") / "hardware_profiles"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "hardware_profiles"


def plugin_folder(plugin: Plugin) -> Traversable:
    """The folder of a plug-in: that of the package or module which its entry point names, or the path behind the name.

    Raises:
        PluginError: it cannot be imported, or is no folder.
    """
    loaded: Any = plugin.load()
    try:
        if isinstance(loaded, ModuleType):
            folder = resources.files(loaded) if hasattr(loaded, "__path__") else Path(str(loaded.__file__)).parent
        else:
            folder = loaded if isinstance(loaded, Traversable) else Path(loaded)
    except TypeError as error:
        raise plugin.fault(f"is {type(loaded).__name__}, not a package, module or path") from error
    if not folder.is_dir():
        raise plugin.fault(f"names {folder}, which is not a folder")
    return folder


def plugin_folders() -> dict[Plugin, Traversable]:
    """Those of all plug-ins; one that is broken is told as a PluginWarning and left out."""
    found: dict[Plugin, Traversable] = {}
    for plugin in plugins(PROFILES).values():
        try:
            found[plugin] = plugin_folder(plugin)
        except PluginError as error:
            warn(str(error))
    return found


def own_folders() -> list[Path]:
    """The user's folders, each once.

    Raises:
        ProfileError: one does not exist.
    """
    named = [Path(name).expanduser().resolve() for name in os.environ.get(FOLDERS, "").split(os.pathsep) if name]
    for folder in named:
        if not folder.is_dir():
            raise ProfileError(f"{FOLDERS}: {folder} is not a folder; create it, or take it out of the variable.")
    return list(dict.fromkeys(named))


def profiles_in(folder: Traversable) -> dict[str, Traversable]:
    """Files of a folder that may be profiles, by id."""
    files = (file for file in folder.iterdir() if file.name.endswith(".toml") and not file.name.startswith("."))
    return {file.name.removesuffix(".toml"): file for file in sorted(files, key=lambda file: file.name)}


def profile_files() -> dict[str, Traversable]:
    """Every profile's file by id. A plug-in's whose id is taken is told as a PluginWarning and left out.

    Raises:
        ProfileError: a folder of the user does not exist, or has an id that is taken.
    """
    found = profiles_in(shipped_folder())
    for plugin, folder in plugin_folders().items():
        for name, file in profiles_in(folder).items():
            if taken := _taken(name, found):
                warn(f"{plugin}: profile {name!r} is left out, because {taken}. Its authors must rename it.")
            else:
                found[name] = file
    for folder in own_folders():
        for name, file in profiles_in(folder).items():
            if name in ALIASES:
                raise ProfileError(f"Profile {file}: {name!r} is short for {ALIASES[name]!r}; give the file and its id another name.")
            if name in found:
                raise ProfileError(
                    f"Profile {name!r} is there twice, {found[name]} and {file}; rename one file and its id, or take its folder "
                    f"out of {FOLDERS}."
                )
            found[name] = file
    return found


def _taken(name: str, found: dict[str, Traversable]) -> str:
    return f"that is short for {ALIASES[name]!r}" if name in ALIASES else f"there is {found[name]}" if name in found else ""
