"""`neuromorph lava`: install Intel's archived simulator where its metadata refuses, and see that it computes."""

import shlex
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from neuromorph.cli.inputs import Model
from neuromorph.cli.output import Json, emit, messages, table

app = typer.Typer(help="Lava's CPU simulation of Loihi: install it, test it bit for bit.", no_args_is_help=True)

Python = Annotated[str | None, typer.Option(envvar="NEUROMORPH_LAVA_PYTHON", help="Interpreter that runs Lava [this one].")]


@app.command()
def install(python: Python = None, as_json: Json = False) -> None:
    """Install lava-nc 0.10.0 (archived by Intel) into this interpreter or another one, then test it.

    Its metadata asks for Python 3.10 and numpy 1 and is passed over; the test then decides. Uses the interpreter's pip, else uv.

    Example: neuromorph lava install --python .lava/bin/python
    """
    from neuromorph.backends.lava import installation, launch

    for command in installation.commands(python or launch.interpreter()):
        messages.print(shlex.join(command), soft_wrap=True, highlight=False)
        installation.install(command)
    check(python, as_json)


@app.command("test")
def check(python: Python = None, as_json: Json = False) -> None:
    """Run small networks of every kind of process in Lava, in integers and floats; exit code 1 if a number is wrong.

    Lava's own LIF and Sparse must give numbers worked by hand, the other processes those of the reference simulator.
    """
    from neuromorph.backends.lava import self_test

    checks = self_test(python)
    rows = [(c.name, c.precision, c.finding is None, c.finding or "as it should") for c in checks]
    emit(as_json, {"checks": [asdict(c) for c in checks]}, table("Lava", ["check", "precision", "passed", "finding"], rows))
    if any(c.finding for c in checks):
        raise typer.Exit(1)


@app.command()
def rules(model: Model, as_json: Json = False) -> None:
    """Print the plastic projections of an integer graph as Loihi learning rules (dw, dt), or why the chip's engine has none for them.

    The engine is approximate (traces of 7 bits, weights and tags of 8): see docs/learning_on_chip.md. Exit code 1 if one has no rule.

    Example: neuromorph lava rules model.loihi2_estimate.h5
    """
    from neuromorph.backends.lava.learning_rule import compile_rule
    from neuromorph.errors import BackendError
    from neuromorph.graph import load

    graph = load(model)
    found: dict[str, dict[str, object]] = {}
    shown: list[str] = []
    for q in graph.plastic:
        try:
            made = compile_rule(graph, q)
        except BackendError as reason:
            found[q.name] = {"rule": None, "refused": str(reason)}
            shown.append(f"[bold]{q.name}[/]: none. {escape(str(reason))}")
        else:
            found[q.name] = {"rule": asdict(made), "refused": None}
            shown.append(f"[bold]{q.name}[/]\n{escape(str(made))}")
    emit(as_json, {"rules": found}, *(shown or [f"{model}: no projection is plastic"]))
    if any(each["refused"] for each in found.values()):
        raise typer.Exit(1)
