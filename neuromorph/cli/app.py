"""The `neuromorph` program: commands, and errors told in a sentence."""

import sys

import typer
from rich.markup import escape

from neuromorph.cli import chain, data, demonstration, energy, hardware, health, lava, mapping, netx, simulate, training, validation
from neuromorph.cli.output import messages
from neuromorph.errors import NeuromorphError

HELP = """Take a spiking network from training to neuromorphic hardware.

train -> export -> check -> quantize -> map -> run / validate -> energy -> report; `neuromorph demo` walks the whole chain on real digits.
"""

app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(demonstration.demo)
app.command()(training.train)
app.command()(training.export)
app.command()(chain.inspect)
app.command()(chain.quantize)
app.command()(mapping.check)
app.command("map")(mapping.map_)
app.command()(netx.netx)
app.command()(simulate.run)
app.command()(validation.validate)
app.command()(energy.energy)
app.command()(demonstration.report)
app.add_typer(hardware.app, name="profiles")
app.add_typer(data.app, name="data")
app.add_typer(lava.app, name="lava")
app.command()(health.doctor)


def main() -> None:
    """Run the program. Exit code 0: done; 1: a check failed (check, validate, profiles lint, doctor); 2: bad input."""
    try:
        app()
    except (NeuromorphError, FileNotFoundError, PermissionError, IsADirectoryError) as error:
        messages.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
