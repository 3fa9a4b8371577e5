"""The command line: `neuromorph COMMAND --help` teaches each step of the chain."""

from neuromorph.cli.app import main

__all__ = ["main"]
