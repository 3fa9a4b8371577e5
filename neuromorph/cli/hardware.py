"""`neuromorph profiles`: the chips that are known, each number with its range and source."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from neuromorph.cli import complete
from neuromorph.cli.output import Json, emit, table

if TYPE_CHECKING:
    from neuromorph.hardware import HardwareProfile, Quantity

HELP = """Hardware profiles: list them, show one with its sources, check a file, start your own.

The environment variable NEUROMORPH_PROFILES names folders (separated as in PATH) whose .toml files stand beside those that ship.
"""
app = typer.Typer(help=HELP, no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the profiles: those that ship with neuromorph, and those in the folders of NEUROMORPH_PROFILES."""
    from neuromorph.hardware import ALIASES, origins

    data = [_row(name, origin, [short for short, full in ALIASES.items() if full == name]) for name, origin in origins().items()]
    rows = [[escape(cell) for cell in (_names(row), str(row["title"]), _forms(row), str(row["origin"]))] for row in data]
    emit(as_json, {"profiles": data}, _unbroken(table("Hardware profiles", ["id", "title", "reset; adaptation", "from"], rows)))


def _names(row: Mapping[str, str | list[str]]) -> str:
    return "\n".join([str(row["id"]), *(f"  = {short}" for short in row["aliases"])])


def _forms(row: Mapping[str, str | list[str]]) -> str:
    return "\n".join(", ".join(row[key]) for key in ("resets", "adaptations") if row[key])


def _unbroken(listing: Table) -> Table:
    listing.columns[0].no_wrap = True
    return listing


def _row(name: str, origin: str, aliases: list[str]) -> dict[str, str | list[str]]:
    from neuromorph.hardware import lint, load_profile

    if faults := lint(name):
        told = f"{len(faults)} fault(s): neuromorph profiles lint {name}"
        return {"id": name, "aliases": aliases, "title": told, "class": "", "resets": [], "adaptations": [], "origin": origin}
    p = load_profile(name)
    forms = {"resets": list(p.resets), "adaptations": list(p.adaptations)}
    return {"id": name, "aliases": aliases, "title": p.title, "class": p.chip_class, **forms, "origin": origin}


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Profile name or .toml file.", autocompletion=complete.profiles)], as_json: Json = False
) -> None:
    """Show a profile: every number with its range, kind, basis and source, the limits, the citations."""
    from neuromorph.hardware import load_profile

    profile = load_profile(name)
    emit(as_json, asdict(profile), escape(_title(profile, name)), *_tables(profile))


def _title(profile: "HardwareProfile", name: str) -> str:
    from neuromorph.hardware.schema import UPDATE_ACCOUNTS

    lines = [f"{name} is short for {profile.alias_of}."] if profile.alias_of else []
    lines.append(f"{profile.id}: {profile.title}")
    if profile.warning:
        lines.append(f"Warning: {profile.warning}")
    lines.append(f"Neuron updates: {UPDATE_ACCOUNTS[profile.counts_neuron_updates]} ({profile.counts_neuron_updates}).")
    if profile.compilable:
        forms = f"reset {', '.join(profile.resets)}; adaptation {', '.join(profile.adaptations) or 'none'}"
        lines.append(f"Neurons: {forms}; compartments {', '.join(f'{kind} {n}' for kind, n in profile.compartments.items())}.")
    else:
        lines.append("Neurons: neuromorph does not quantise for it.")
    return "\n".join(lines)


def _tables(profile: "HardwareProfile") -> list[Table]:
    """Numbers, limits and citations, those that there are."""
    quantities = [(group, key, q) for group in ("energy", "time", "power") for key, q in getattr(profile, group).items()]
    if profile.model_discrepancy:
        quantities.append(("model_discrepancy", "factor", profile.model_discrepancy))
    columns = ["quantity", "value", "range", "kind, basis", "source, note"]
    rows = [_quantity(*row) for row in quantities]
    tables = [_unbroken(table("Numbers", columns, rows, "SI units: J per event, s per event, W"))] if rows else []
    if profile.limits:
        limits = [(key, escape(str(list(value) if isinstance(value, tuple) else value))) for key, value in profile.limits.items()]
        tables.append(table("Limits", ["limit", "value"], limits))
    return [*tables, table("Sources", ["key", "citation"], [(key, escape(text)) for key, text in profile.sources.items()])]


def _quantity(group: str, key: str, q: "Quantity") -> tuple[str, ...]:
    told = "\n".join(part for part in (q.src, q.note) if part)
    return f"{group}.{key}", f"{q.v:.4g}", f"{q.lo:.4g} .. {q.hi:.4g}", f"{q.kind}, {q.basis}", escape(told)


@app.command()
def lint(
    files: Annotated[
        list[str] | None, typer.Argument(help="Profile names or .toml files [all that are listed].", autocompletion=complete.profiles)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check profiles against the schema and explain each fault; exit code 1 if there is any."""
    from neuromorph.hardware import lint as faults_of
    from neuromorph.hardware import list_profiles

    faults = {name: faults_of(name) for name in files or list_profiles()}
    rows = [(escape(name), escape(fault)) for name, found in faults.items() for fault in found or ["no faults"]]
    emit(as_json, {"faults": faults}, table("Profile check", ["profile", "finding"], rows))
    if any(faults.values()):
        raise typer.Exit(1)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of the profile: letters, digits, '_' and '-'.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write, called ID.toml [ID.toml in this folder].")] = None,
    like: Annotated[
        str | None,
        typer.Option(help="Profile whose limits it inherits and whose neuron forms it starts with.", autocompletion=complete.profiles),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a commented profile to start from; it has no faults as it stands. No file is overwritten.

    Example: neuromorph profiles new mychip --like loihi1
    """
    from neuromorph.hardware.template import write_template

    path = out or Path(f"{name}.toml")
    write_template(name, path, like)
    told = f"wrote {path}; fill in what you know, then: neuromorph profiles lint {path}"
    emit(as_json, {"file": str(path)}, escape(told))
