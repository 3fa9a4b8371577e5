"""What a person sees of a run: a progress bar on a terminal, one line a record elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from neuromorph.train.history import Record
from neuromorph.train.run import Run


class Monitor:
    """`update` after each update, `record` after each record."""

    def __init__(self, run: Run, bar: Progress, *, lines: bool) -> None:
        self.run, self.bar, self.lines = run, bar, lines
        self.task = bar.add_task("training", total=run.updates, completed=run.update, state="")
        self.validation = ""

    def update(self) -> None:
        self.bar.update(self.task, completed=self.run.update, state=self._state(*self.run.sums))

    def record(self, record: Record) -> None:
        if record.validation:
            self.validation = f"  validation {record.validation.accuracy:.1%}"
        if self.lines:
            train = record.train
            state = self._state(1.0, train.accuracy, train.loss, train.rate_hz * self.run.model.dt)
            self.bar.console.print(f"update {record.update}/{self.run.updates}  {state}", highlight=False, soft_wrap=True)

    def _state(self, samples: float, correct: float, loss: float, rate: float) -> str:
        if not samples:
            return self.validation
        numbers = f"loss {loss / samples:.3f}  accuracy {correct / samples:.1%}  {rate / samples / self.run.model.dt:.0f} Hz"
        return numbers + self.validation


@contextmanager
def monitored(run: Run, wanted: bool) -> Iterator[Monitor]:
    """A monitor on standard error."""
    columns = (TextColumn("training"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[state]}"))
    console = Console(stderr=True)
    shown = wanted and console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not shown) as bar:
        yield Monitor(run, bar, lines=wanted and not shown)
