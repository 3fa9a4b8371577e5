"""Tables for people, JSON for programs, errors in one line."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table


class PipeClosed(Exception):
    """Whoever read the output has gone."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise PipeClosed


console = _Console()
messages = _Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str | None = None) -> Table:
    """A rich table; numbers are aligned to the right."""
    made = Table(title=title, title_justify="left", caption=caption, caption_justify="left", title_style="bold")
    body = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(body) and all(isinstance(row[index], int | float) or row[index] is None for row in body)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        made.add_row(*(cell(value) for value in row))
    return made


def cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def emit(as_json: bool, data: Any, *tables: Table | str) -> None:
    """`data` as JSON on standard output, or the tables."""
    if as_json:
        sys.stdout.write(json.dumps(data, indent=2, default=_plain) + "\n")
        return
    for item in tables:
        console.print(item)


def _plain(value: Any) -> Any:
    """numpy scalars and arrays as Python numbers and lists."""
    return value.tolist()


@contextmanager
def progress_bar(label: str, quiet: bool, unit: str = "samples") -> Iterator[Callable[[int, int], None] | None]:
    """A bar of what is done, on standard error; None when `quiet`."""
    if quiet or not messages.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn()
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def joules(value: float | None) -> str:
    """Energy with an SI prefix and three digits."""
    return "-" if value is None else _scaled(value, "J")


def seconds(value: float) -> str:
    """Time with an SI prefix and three digits."""
    return _scaled(value, "s")


def _scaled(value: float, unit: str) -> str:
    factor, prefix = next(((f, p) for f, p in ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n")) if abs(value) >= f), (1e-12, "p"))
    return f"{value / factor:.3g} {prefix}{unit}"
