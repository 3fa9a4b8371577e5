"""Profiles by name, short name or path: found, read, checked against the schema, built."""

import os
import tomllib
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from neuromorph.errors import ProfileError
from neuromorph.hardware.profile import HardwareProfile, Limit, Quantity
from neuromorph.hardware.schema import QUANTITIES, Toml, faults
from neuromorph.profile_folders import ALIASES, SHIPPED, profile_files, profiles_in, shipped_folder


def list_profiles() -> list[str]:
    """Ids of all profiles, sorted: those that ship with neuromorph, those of plug-ins (`neuromorph.plugins`) and those in the
    folders that NEUROMORPH_PROFILES names.

    Raises:
        ProfileError: a folder does not exist, or an id is there twice.
    """
    return sorted(profile_files())


def origins() -> dict[str, str]:
    """Where each profile comes from, by id: "shipped", or the path of the file.

    Raises:
        ProfileError: a folder does not exist, or an id is there twice.
    """
    shipped = set(profiles_in(shipped_folder()))
    return {name: SHIPPED if name in shipped else str(file) for name, file in sorted(profile_files().items())}


def resolve(name: str) -> str:
    """The full id behind a short name ("loihi2" -> "loihi2_estimate"); other names come back as they are."""
    return ALIASES.get(name, name)


def load_profile(name_or_path: str | os.PathLike[str]) -> HardwareProfile:
    """A profile by id or short name (see `list_profiles`), or by the path of its .toml file.

    Raises:
        ProfileError: no such profile, an id is there twice, or it breaks the schema (the first fault is named; `lint`
            lists all).
    """
    file = _find(name_or_path)
    raw, problems = _examine(file)
    if problems:
        raise ProfileError(f"Profile {file}: {problems[0]}" + (f" ({len(problems) - 1} more faults.)" if problems[1:] else ""))
    name = os.fspath(name_or_path)
    return _build(raw, alias_of=ALIASES.get(name, ""))


def lint(path: str | os.PathLike[str]) -> list[str]:
    """Every fault of a profile file (or of a profile by name), each naming table and key; empty if it is valid.

    Raises:
        ProfileError: no such profile, or an id is there twice.
    """
    return _examine(_find(path))[1]


def inheritable(name: str) -> bool:
    """Whether another profile's limits may say `inherit = name`: an id (no short name) that has no faults and does not
    inherit itself.

    Raises:
        ProfileError: an id is there twice.
    """
    return _own_limits(name) is not None


def _find(name_or_path: str | os.PathLike[str]) -> Traversable:
    name = os.fspath(name_or_path)
    if not name.endswith(".toml"):
        files = profile_files()
        if resolve(name) not in files:
            raise ProfileError(f"Profile {name!r} is unknown; {_known()}, or give a path ending in .toml.")
        return files[resolve(name)]
    if not (file := Path(name)).is_file():
        raise ProfileError(f"Profile {name}: no such file; correct the path, or give a name: {_known()}.")
    return file


def _known() -> str:
    short = ", ".join(f"{alias} (= {full})" for alias, full in ALIASES.items())
    return f"there are {', '.join(list_profiles())}, {short}"


def _examine(file: Traversable) -> tuple[dict[str, Any], list[str]]:
    """The parsed file with inherited limits filled in, and its faults."""
    try:
        raw = _parse(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"not readable TOML: {error}; correct it there."]
    problems = list(faults(raw))
    name = file.name.removesuffix(".toml")
    if raw.get("id") != name:
        problems.append(f"id is {raw.get('id')!r}; it must be the name of the file, {name!r}: rename one of them.")
    limits = raw.get("limits")
    if isinstance(limits, dict) and isinstance(parent := cast(Toml, limits).get("inherit"), str):
        inherited = None if parent == name else _own_limits(parent)
        if inherited is None:
            allowed = ", ".join(other for other in list_profiles() if other != name and inheritable(other))
            problems.append(f"[limits] inherit is {parent!r}; name a profile that has no faults and does not inherit itself: {allowed}.")
        else:
            raw["limits"] = {**inherited, **{k: v for k, v in cast(Toml, limits).items() if k != "inherit"}}
    return raw, problems


def _own_limits(name: str) -> Toml | None:
    """The limits of a listed profile; None if there is none of that name, it has faults, or it inherits them itself."""
    file = profile_files().get(name)
    try:
        raw = _parse(file) if file else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None
    limits: Toml = raw.get("limits", {})
    return None if not file or any(faults(raw)) or "inherit" in limits else limits


def _parse(file: Traversable) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _build(raw: Toml, alias_of: str) -> HardwareProfile:
    quantities = {table: {name: _quantity(q) for name, q in raw.get(table, {}).items()} for table in QUANTITIES}
    neuron = raw.get("neuron", {})
    limits = {name: _limit(value) for name, value in raw.get("limits", {}).items()}
    return HardwareProfile(
        id=raw["id"],
        title=raw["title"],
        chip_class=raw["class"],
        process_nm=raw.get("process_nm"),
        event_driven=raw["event_driven"],
        counts_neuron_updates=raw["counts_neuron_updates"],
        warning=raw.get("warning", ""),
        energy=quantities["energy"],
        time=quantities["time"],
        power=quantities["power"],
        limits=limits,
        resets=tuple(neuron.get("resets", ())),
        adaptations=tuple(neuron.get("adaptations", ())),
        compartments=dict(neuron.get("compartments", {})),
        model_discrepancy=quantities["model_discrepancy"].get("factor"),
        sources=dict(raw["sources"]),
        alias_of=alias_of,
    )


def _limit(value: int | bool | list[int]) -> Limit:
    return tuple(value) if isinstance(value, list) else value


def _quantity(raw: Toml) -> Quantity:
    numbers = {key: float(raw[key]) for key in ("v", "lo", "hi")}
    return Quantity(**numbers, kind=raw["kind"], basis=raw["basis"], src=raw["src"], note=raw.get("note", ""))
