"""`neuromorph doctor`: what is installed here, and whether each simulator really computes."""

from typing import Annotated

import typer

from neuromorph.cli.output import Json, emit, table


def doctor(
    quick: Annotated[bool, typer.Option(help="Only look at what is installed; do not run the simulators.")] = False, as_json: Json = False
) -> None:
    """Say what is installed, and run a small network on every simulator; exit code 1 if one of them computes wrong."""
    from neuromorph.backends import backends
    from neuromorph.versions import versions

    checks: list[dict[str, object]] = []
    for name, backend in backends().items():
        reason = backend.available()
        result = reason or "installed"
        agrees = None
        if not reason and not quick:
            comparison = _probe(name)
            agrees, result = comparison.identical, str(comparison)
        checks.append({"backend": name, "available": reason is None, "agrees": agrees, "result": result})
    found = versions()
    missing = [(name, number or "not installed") for name, number in found.items()]
    rows = [(c["backend"], c["available"], c["agrees"], c["result"]) for c in checks]
    emit(
        as_json,
        {"versions": found, "backends": checks},
        table("Packages", ["package", "version"], missing),
        table("Simulators", ["backend", "available", "agrees", "finding"], rows),
    )
    if any(c["agrees"] is False for c in checks):
        raise typer.Exit(1)


def _probe(backend: str):
    """A small integer network that fires, adapts and is refractory, on one backend against the reference, and on that against `fast`."""
    import numpy as np

    from neuromorph.agreement import validate
    from neuromorph.graph import ALIF, LI, Graph, Input, Projection
    from neuromorph.spikes import Spikes

    rng = np.random.default_rng(0)
    hidden = ALIF.of("hidden", 12, decay_v=3900, v_th=300, decay_a=4076, kappa=2000, n_ref=2, precision="integer")
    parts = (Input("input", 6), hidden, LI.of("readout", 2, decay_v=3900, precision="integer"))
    weights = [rng.integers(-60, 100, size) * 2 for size in ((6, 12), (12, 12), (12, 2))]
    ends = (("input", "hidden"), ("hidden", "hidden"), ("hidden", "readout"))
    graph = Graph(1e-3, parts, tuple(Projection.from_dense(*end, w) for end, w in zip(ends, weights)))
    against = "fast" if backend == "reference" else "reference"
    return validate(graph, Spikes.from_dense(rng.random((40, 2, 6)) < 0.2, 1e-3), [against, backend]).comparisons[0]
