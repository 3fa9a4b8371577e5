"""The `neuromorph` program: commands, and errors told in a sentence."""

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from neuromorph.cli import chain, data, demonstration, energy, hardware, health, lava, mapping, netx, nir, simulate, training, validation
from neuromorph.cli.failures import DEBUG, Interrupted, guarded
from neuromorph.cli.output import PipeClosed

HELP = """Take a spiking network from training to neuromorphic hardware.

train -> export -> check -> quantize -> map -> run / validate -> energy -> report; `neuromorph demo` walks the whole chain on real digits.

Exit codes: 0 done; 1 a check failed (check, validate, profiles lint, doctor, ...); 2 bad input, or something is not installed; 70 a bug;
130 stopped by Ctrl-C; 141 the reader of the output has gone. `neuromorph --install-completion` teaches your shell commands and names.
"""


class _Commands(TyperGroup):
    """Commands whose interruption is told, as other errors are, and whose broken pipes typer does not take for its own."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted(str(error)) from error
        except BrokenPipeError as error:
            raise PipeClosed(str(error)) from error


app = typer.Typer(cls=_Commands, help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", envvar=DEBUG, help="Show the traceback of an error, for a report of a bug.")] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


app.command()(demonstration.demo)
app.command()(training.train)
app.command()(training.export)
app.command()(chain.inspect)
app.command()(chain.quantize)
app.command()(mapping.check)
app.command("map")(mapping.map_)
app.command()(netx.netx)
app.command("import")(nir.import_)
app.command()(nir.nir)
app.command()(simulate.run)
app.command()(validation.validate)
app.command()(energy.energy)
app.command()(demonstration.report)
app.add_typer(hardware.app, name="profiles")
app.add_typer(data.app, name="data")
app.add_typer(lava.app, name="lava")
app.command()(health.doctor)


def main() -> None:
    """Run the program. Exit code 0: done; 1: a check failed; others: see `failures`."""
    guarded(app)
