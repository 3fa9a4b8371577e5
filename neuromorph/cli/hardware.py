"""`neuromorph profiles`: the chips that are known, each number with its range and source."""

from dataclasses import asdict
from typing import Annotated

import typer

from neuromorph.cli.output import Json, emit, table

app = typer.Typer(help="Hardware profiles: list them, show one with its sources, check a file.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the profiles that ship with neuromorph."""
    from neuromorph.hardware import list_profiles, load_profile

    profiles = [load_profile(name) for name in list_profiles()]
    data = [{"id": p.id, "title": p.title, "class": p.chip_class, "resets": p.resets, "adaptations": p.adaptations} for p in profiles]
    rows = [(p.id, p.title, p.chip_class, ", ".join(p.resets), ", ".join(p.adaptations)) for p in profiles]
    emit(as_json, {"profiles": data}, table("Hardware profiles", ["id", "title", "class", "reset", "adaptation"], rows))


@app.command()
def show(name: Annotated[str, typer.Argument(help="Profile name or .toml file.")], as_json: Json = False) -> None:
    """Show every number of a profile with its range, kind, basis and source."""
    from neuromorph.hardware import load_profile

    profile = load_profile(name)
    rows = [
        (group, key, f"{q.v:.4g}", f"{q.lo:.4g} .. {q.hi:.4g}", q.kind, q.basis, q.src)
        for group in ("energy", "time", "power")
        for key, q in getattr(profile, group).items()
    ]
    title = f"{profile.id}: {profile.title}" + (f"\n{profile.warning}" if profile.warning else "")
    emit(
        as_json,
        asdict(profile),
        table(title, ["table", "quantity", "value", "range", "kind", "basis", "source"], rows, "SI units: J, s, W"),
    )


@app.command()
def lint(
    files: Annotated[list[str] | None, typer.Argument(help="Profile names or .toml files [all that ship].")] = None, as_json: Json = False
) -> None:
    """Check profiles against the schema and explain each fault; exit code 1 if there is any."""
    from neuromorph.hardware import lint as faults_of
    from neuromorph.hardware import list_profiles

    faults = {name: faults_of(name) for name in files or list_profiles()}
    rows = [(name, fault) for name, found in faults.items() for fault in found or ["no faults"]]
    emit(as_json, {"faults": faults}, table("Profile check", ["profile", "finding"], rows))
    if any(faults.values()):
        raise typer.Exit(1)
