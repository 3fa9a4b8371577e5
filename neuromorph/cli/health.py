"""`neuromorph doctor`: what is installed here, what is missing, and whether each simulator really computes."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from neuromorph.cli.output import Json, emit, table

if TYPE_CHECKING:
    from neuromorph.graph import Graph
    from neuromorph.spikes import Spikes

REFERENCE = {"spikes": 274, "readouts": [7583109, 3644834]}
"""What the reference must find on the probe: spikes, and both readouts added up, as every simulator agreed on."""


def doctor(
    quick: Annotated[bool, typer.Option(help="Only look at what is installed; do not run the simulators.")] = False, as_json: Json = False
) -> None:
    """Say what works, what is missing, and the command that mends it; run a small network on every simulator.

    Exit code 1 if a simulator computes wrong. What is missing is no fault: install what you need.
    """
    from neuromorph.cli import findings
    from neuromorph.plugins import PluginWarning
    from neuromorph.versions import versions

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # they are in the list of plug-ins
        simulators = [each if quick else _tried(each) for each in findings.simulators()]
        found: dict[str, Any] = {
            "python": findings.python(),
            "versions": versions(),
            "backends": simulators,
            "extras": findings.extras(),
            "plugins": findings.plugins(),
            "profiles": findings.profile_folders(),
            "data": findings.data(),
            "cache": findings.cache(),
        }
    found["mend"] = list(dict.fromkeys(_commands(found)))
    emit(as_json, found, *_told(found))
    if any(c["agrees"] is False for c in simulators):
        raise typer.Exit(1)


def _commands(found: dict[str, Any]) -> Iterator[str]:
    for part in ("backends", "extras", "plugins", "profiles", "data"):
        yield from (each["mend"] for each in found[part] if each["mend"])


def _told(found: dict[str, Any]) -> Iterator[Any]:
    python, cache = found["python"], found["cache"]
    fit = "" if python["ok"] else f"; [bold red]neuromorph is made for {python['supported']}[/]"
    yield f"Python {python['version']}{fit}: {escape(python['executable'])}"
    yield table("Packages", ["package", "version"], [(name, number or "not installed") for name, number in found["versions"].items()])
    rows = [(escape(c["backend"]), c["available"], c["agrees"], escape(c["result"] or "installed")) for c in found["backends"]]
    yield table("Simulators", ["backend", "available", "agrees", "finding"], rows)
    rows = [(e["extra"], e["installed"], escape(e["gives"]), ", ".join(e["missing"])) for e in found["extras"]]
    yield table("Extras", ["extra", "installed", "gives", "missing"], rows)
    if found["plugins"]:
        rows = [[escape(str(p[key])) for key in ("name", "group", "package", "version")] for p in found["plugins"]]
        faults = [escape(p["fault"] or "none") for p in found["plugins"]]
        yield table("Plug-ins", ["name", "group", "package", "version", "fault"], [(*row, fault) for row, fault in zip(rows, faults)])
    rows = [(p["from"], p["profiles"], escape(p["fault"] or p["folder"])) for p in found["profiles"]]
    yield table("Hardware profiles", ["from", "profiles", "folder"], rows)
    kept = f"{cache['folder']}: {cache['bytes'] / 1e6:,.1f} MB; checksums: neuromorph data verify"
    yield table("Data", ["data set", "there", "folder"], [(d["data"], d["installed"], d["folder"]) for d in found["data"]], escape(kept))
    if found["mend"]:
        yield "[bold]To get what is missing[/]"
        yield from (f"  {escape(command)}" for command in found["mend"])
    else:
        yield "Nothing is missing."


def _tried(found: dict[str, Any]) -> dict[str, Any]:
    """A simulator that is there, held against the reference; the reference against the numbers it gave when this was written."""
    from neuromorph.errors import NeuromorphError

    if not found["available"]:
        return found
    try:
        agrees, told = _reference() if found["backend"] == "reference" else _against_reference(found["backend"])
    except Exception as error:
        agrees, told = False, str(error) if isinstance(error, NeuromorphError) else f"{type(error).__name__}: {error}"
    return {**found, "agrees": agrees, "result": told}


def _reference() -> tuple[bool, str]:
    from neuromorph.backends import backend

    graph, spikes = probe()
    seen = backend("reference").run(graph, spikes)
    numbers = {"spikes": len(seen.spikes["hidden"]), "readouts": seen.readouts["readout"].sum((0, 1)).tolist()}
    if numbers == REFERENCE:
        return True, f"reference integer against numbers on file, 2 samples: identical ({REFERENCE['spikes']} spikes)"
    return False, f"reference integer against numbers on file: {numbers} instead of {REFERENCE}"


def _against_reference(name: str) -> tuple[bool, str]:
    from neuromorph.agreement import validate

    comparison = validate(*probe(), ["reference", name]).comparisons[0]
    return comparison.identical, str(comparison)


def probe() -> "tuple[Graph, Spikes]":
    """A small integer network that fires, adapts and is refractory, and its input."""
    import numpy as np

    from neuromorph.graph import ALIF, LI, Graph, Input, Projection
    from neuromorph.spikes import Spikes

    rng = np.random.default_rng(0)
    hidden = ALIF.of("hidden", 12, decay_v=3900, v_th=300, decay_a=4076, kappa=2000, n_ref=2, precision="integer")
    parts = (Input("input", 6), hidden, LI.of("readout", 2, decay_v=3900, precision="integer"))
    weights = [rng.integers(-60, 100, size) * 2 for size in ((6, 12), (12, 12), (12, 2))]
    ends = (("input", "hidden"), ("hidden", "hidden"), ("hidden", "readout"))
    graph = Graph(1e-3, parts, tuple(Projection.from_dense(*end, w) for end, w in zip(ends, weights)))
    return graph, Spikes.from_dense(rng.random((40, 2, 6)) < 0.2, 1e-3)
