"""Hardware profiles: a chip's limits, neuron forms, and energy, time and power, each number with range and source."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from neuromorph.errors import ProfileError
from neuromorph.hardware_schema import QUANTITIES, Toml, faults, source_keys

ALIASES = {"loihi2": "loihi2_estimate"}

type Limit = int | bool | tuple[int, ...]


@dataclass(frozen=True)
class Quantity:
    """A number with its range: `lo <= v <= hi`, SI units (J per event, s per event or W, by table).

    `kind`: published | derived | estimated; `basis`: simulated | measured | regression | vendor | architectural |
    derived | none; `src`: keys of the profile's `sources`, separated by ";".
    """

    v: float
    lo: float
    hi: float
    kind: str
    basis: str
    src: str
    note: str = ""

    @property
    def source_keys(self) -> tuple[str, ...]:
        return source_keys(self.src)


@dataclass(frozen=True)
class HardwareProfile:
    """A chip (or a counting convention) as data; what is not known is absent, never 0.

    `energy` [J per event], `time` [s per event], `power` [W]: quantities by name. `limits`: whole numbers, lists and
    switches. `resets`, `adaptations`, `compartments` (per neuron kind): the neuron forms of a chip that neuromorph
    compiles to, empty for others. `model_discrepancy`: measured over predicted dynamic energy, where known.
    `counts_neuron_updates`: how the numbers account for neuron updates (`hardware_schema.UPDATE_ACCOUNTS`).
    `alias_of`: the full id when the profile was asked for by a short name, else "".
    """

    id: str
    title: str
    chip_class: str
    process_nm: int | None
    event_driven: bool
    counts_neuron_updates: str
    warning: str
    energy: Mapping[str, Quantity]
    time: Mapping[str, Quantity]
    power: Mapping[str, Quantity]
    limits: Mapping[str, Limit]
    resets: tuple[str, ...]
    adaptations: tuple[str, ...]
    compartments: Mapping[str, int]
    model_discrepancy: Quantity | None
    sources: Mapping[str, str]
    alias_of: str = ""

    @property
    def compilable(self) -> bool:
        """Whether neuromorph can quantise a graph for this chip."""
        return bool(self.resets)

    def limit(self, name: str) -> int:
        """A whole-number limit.

        Raises:
            ProfileError: the profile does not say.
        """
        value = self.limits.get(name)
        if type(value) is not int:
            raise ProfileError(f"Profile {self.id!r}: [limits] has no number {name!r}; it is needed here, use a profile that has it.")
        return value

    def limit_range(self, name: str) -> tuple[int, int]:
        """A limit given as [lowest, highest].

        Raises:
            ProfileError: the profile does not say.
        """
        value = self.limits.get(name)
        if not isinstance(value, tuple) or len(value) != 2:
            raise ProfileError(f"Profile {self.id!r}: [limits] has no range {name!r}; it is needed here, use a profile that has it.")
        return value[0], value[1]


def list_profiles() -> list[str]:
    """Ids of the shipped profiles, sorted."""
    return sorted(file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml"))


def resolve(name: str) -> str:
    """The full id behind a short name ("loihi2" -> "loihi2_estimate"); other names come back as they are."""
    return ALIASES.get(name, name)


def load_profile(name_or_path: str | os.PathLike[str]) -> HardwareProfile:
    """A shipped profile by id or short name, or a profile of your own by the path of its .toml file.

    Raises:
        ProfileError: no such profile, or it breaks the schema (the first fault is named; `lint` lists all).
    """
    file = _find(name_or_path)
    raw, problems = _examine(file)
    if problems:
        raise ProfileError(f"Profile {file}: {problems[0]}" + (f" ({len(problems) - 1} more faults.)" if problems[1:] else ""))
    name = os.fspath(name_or_path)
    return _build(raw, alias_of=ALIASES.get(name, ""))


def lint(path: str | os.PathLike[str]) -> list[str]:
    """Every fault of a profile file (or shipped profile by name), each naming table and key; empty if it is valid."""
    return _examine(_find(path))[1]


def _folder() -> Traversable:
    """The profiles inside an installed wheel, or beside the package in a source checkout."""
    inside = resources.files("neuromorph") / "hardware_profiles"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "hardware_profiles"


def _find(name_or_path: str | os.PathLike[str]) -> Traversable:
    name = os.fspath(name_or_path)
    if name.endswith(".toml"):
        file: Traversable = Path(name)
    else:
        if resolve(name) not in list_profiles():
            short = ", ".join(f"{alias} (= {full})" for alias, full in ALIASES.items())
            raise ProfileError(
                f"Profile {name!r} is unknown; there are {', '.join(list_profiles())}, {short}, or give a path ending in .toml."
            )
        file = _folder() / f"{resolve(name)}.toml"
    if not file.is_file():
        raise ProfileError(f"Profile {name}: no such file; shipped profiles are {', '.join(list_profiles())}.")
    return file


def _examine(file: Traversable) -> tuple[dict[str, Any], list[str]]:
    """The parsed file with inherited limits filled in, and its faults."""
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"not readable TOML: {error}."]
    problems = list(faults(raw))
    if raw.get("id") != file.name.removesuffix(".toml"):
        problems.append(f"id is {raw.get('id')!r}; it must be the name of the file, {file.name.removesuffix('.toml')!r}.")
    limits = raw.get("limits")
    if isinstance(limits, dict) and isinstance(parent := cast(Toml, limits).get("inherit"), str):
        inherited = _parent_limits(parent, file)
        if inherited is None:
            problems.append(f"[limits] inherit is {parent!r}; name a shipped profile whose [limits] do not inherit themselves.")
        else:
            raw["limits"] = {**inherited, **{k: v for k, v in cast(Toml, limits).items() if k != "inherit"}}
    return raw, problems


def _parent_limits(name: str, child: Traversable) -> dict[str, Any] | None:
    if name not in list_profiles() or f"{name}.toml" == child.name:
        return None
    limits = tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8")).get("limits", {})
    return None if "inherit" in limits else limits


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
