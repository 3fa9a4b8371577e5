"""What the program says and which exit code it gives when a command fails: a sentence; with --debug also the traceback."""

import os
import select
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import NoReturn, TextIO

from rich.markup import escape

from neuromorph.cli.output import PipeClosed, messages
from neuromorph.errors import NeuromorphError
from neuromorph.extras import all_missing, remedy
from neuromorph.plugins import PluginWarning

BAD_INPUT, BUG, INTERRUPTED, PIPE = 2, 70, 130, 141
"""Exit codes: of errors that the user can mend, of faults in neuromorph (EX_SOFTWARE of sysexits.h), of Ctrl-C and of a closed pipe
(128 and the number of the signal, as shells have it).
"""
DEBUG = "NEUROMORPH_DEBUG"


class Interrupted(Exception):
    """Ctrl-C, as an exception that typer lets pass."""


def debugging() -> bool:
    """Whether --debug was given, or the environment variable is set to something but 0."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def guarded(program: Callable[[], object]) -> None:
    """Run a program that ends by SystemExit; what it raises else is told and ends it."""
    warnings.showwarning = _show(warnings.showwarning)
    try:
        try:
            program()
        finally:
            sys.stdout.flush()
    except (BrokenPipeError, PipeClosed) as error:
        if not _reader_gone():
            _tell(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is said when the interpreter ends
        sys.exit(PIPE)
    except Exception as error:
        _tell(error)


def _tell(error: Exception) -> NoReturn:
    text, code = sentence(error)
    if debugging():
        traceback.print_exception(error)
    elif code == BUG:
        text += " Run `neuromorph --debug COMMAND ...` for the traceback, and report it with that."
    messages.print(f"[bold red]{'interrupted' if code == INTERRUPTED else 'error'}:[/] {escape(text)}", highlight=False, soft_wrap=True)
    sys.exit(code)


def sentence(error: Exception) -> tuple[str, int]:
    """What is told of an error, and the exit code."""
    match error:
        case Interrupted():
            return str(error) or "stopped by Ctrl-C.", INTERRUPTED
        case NeuromorphError():
            return str(error), BAD_INPUT
        case ModuleNotFoundError(name=str(name)) if command := remedy(name):
            return f"this needs {', '.join(all_missing(name))} (not installed); run: {command}", BAD_INPUT
        case MemoryError():
            return f"not enough memory: {error or 'an allocation failed'}. Give fewer samples, or a smaller graph.", BAD_INPUT
        case OSError(strerror=str(reason), filename=name) if name is not None:
            return f"{name}: {reason}", BAD_INPUT
        case OSError():
            return str(error), BAD_INPUT
        case _:
            return f"this is a bug in neuromorph: {type(error).__name__}: {error}.", BUG


def _show(usual: Callable[..., None]) -> Callable[..., None]:
    """Plug-ins that were left out are told in a line."""

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
    ):
        if issubclass(category, PluginWarning):
            messages.print(f"[yellow]left out:[/] {escape(str(message))}", highlight=False, soft_wrap=True)
        else:
            usual(message, category, filename, lineno, file, line)

    return show


def _reader_gone() -> bool:
    """Whether it is standard output that nobody reads any more, and not another pipe."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
