"""Settings as nested frozen dataclasses, read from TOML tables and written back; every mistake is named by file and key."""

import dataclasses
import difflib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from neuromorph.errors import NeuromorphError, TrainingError

Table: TypeAlias = dict[str, Any]
T = TypeVar("T")


def read_toml(path: str | os.PathLike[str]) -> Table:
    """The tables of a TOML file.

    Raises:
        TrainingError: it is not TOML.
        OSError: it cannot be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: this is not TOML: {error}.") from error


def overrides(assignments: Sequence[str]) -> Table:
    """`section.key=value` assignments as nested tables; the value is TOML, and a bare word is a string.

    Raises:
        TrainingError: no key, no "=", or one key is both a section and a value.
    """
    tables: Table = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        *sections, name = (part.strip() for part in key.split("."))
        if not equals or not all([*sections, name]):
            raise TrainingError(f"--set {text!r}: give section.key=value, for example optimizer.lr=0.003.")
        table = tables
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise TrainingError(f"--set {text!r}: {section!r} was set to a value before and cannot be a section.")
        table[name] = _value(value.strip())
    return tables


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text.replace("_", "").replace("-", "").isalnum():
            return text
        raise TrainingError(f"--set: {text!r} is not a TOML value; write numbers, true, false, words, [lists] or 'quoted text'.") from None


def build(kind: type[T], table: Mapping[str, Any], source: str, *, start: T | None = None, section: str = "") -> T:
    """A `kind` with the values of `table`; whatever the table does not say is taken from `start` (or the defaults).

    `source`: what the table is called in errors, such as the file's name.

    Raises:
        TrainingError: an unknown key (the nearest allowed one is told), a wrong type, an impossible value.
    """
    hints = get_type_hints(kind, include_extras=True)
    allowed = [field.name for field in dataclasses.fields(kind)]  # pyright: ignore[reportArgumentType]
    given: Table = {} if start is None else {name: getattr(start, name) for name in allowed}
    for key, value in table.items():
        where = f"{section}.{key}" if section else key
        if key not in allowed:
            raise TrainingError(f"{source}: {where!r} is unknown{_nearest(key, allowed)}; allowed: {', '.join(allowed)}.")
        if dataclasses.is_dataclass(inner := hints[key]):
            if not isinstance(value, Mapping):
                raise TrainingError(f"{source}: {where!r} is {value!r}; it is a section: write [{where}].")
            given[key] = build(inner, value, source, start=given.get(key), section=where)  # pyright: ignore[reportArgumentType]
        else:
            found = _typed(value, hints[key], source, where)
            given[key] = {**given.get(key, {}), **found} if isinstance(found, dict) else found
    try:
        return kind(**given)
    except NeuromorphError as error:
        place = f"[{section}] " if section and not str(error).startswith(f"{section}.") else ""
        raise TrainingError(f"{source}: {place}{error}") from error


def _nearest(key: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.3)
    return f"; did you mean {near[0]!r}?" if near else ""


def _typed(value: Any, hint: Any, source: str, where: str) -> Any:
    try:
        return _convert(value, hint)
    except TypeError:
        raise TrainingError(f"{source}: {where!r} is {value!r}; allowed: {describe(hint)}.") from None


def _convert(value: Any, hint: Any) -> Any:
    """`value` as the type that `hint` asks for: whole numbers count as numbers, lists become tuples."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        for kind in inner:
            try:
                return _convert(value, kind)
            except TypeError:
                continue
    elif origin is Literal:
        if value in inner and not isinstance(value, bool):
            return value
    elif origin is tuple and isinstance(value, list | tuple):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(_convert(each, kind) for each, kind in zip(value, kinds))
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        return {str(key): _convert(each, inner[1]) for key, each in value.items()}
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint is NoneType and value is None:
        return None
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise TypeError


NAMES: dict[Any, str] = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}


def describe(hint: Any) -> str:
    """What a value of that type is called in a message."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(json.dumps(each) for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(describe(kind) for kind in inner if kind is not NoneType)
    if origin is tuple:
        return f"a list of {describe(inner[0])}" + ("" if inner[-1] is Ellipsis else f" ({len(inner)} of them)")
    if origin in (dict, Mapping):
        return "a section"
    return NAMES.get(hint, str(hint))


def plain(settings: Any) -> Table:
    """A dataclass of settings as nested tables of JSON and TOML values; what is None is left out."""
    table: Table = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is not None:
            table[field.name] = plain(value) if dataclasses.is_dataclass(value) else _listed(value)
    return table


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, tuple | list) else value


def to_toml(table: Mapping[str, Any], section: str = "") -> str:
    """TOML text of nested tables, values before sections; `build` reads it back to equal settings."""
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    text = "".join(f"{key} = {_literal(value)}\n" for key, value in values.items())
    head = f"[{section}]\n" if section and values else ""
    inner = [to_toml(each, f"{section}.{key}" if section else key) for key, each in table.items() if isinstance(each, Mapping)]
    return "\n".join(part for part in (head + text, *inner) if part)


def _literal(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_literal(each) for each in value)}]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
