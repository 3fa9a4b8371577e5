"""Ctrl-C and termination: asked for by a signal, obeyed between two updates."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from neuromorph.errors import TrainingError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(TrainingError):
    """A signal ended training after its state was saved. `number`: of the signal; programs exit with 128 + number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Interrupts:
    """`number` of the signal that asked to stop, or None."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler: remember the first signal; the next one ends the process at once."""
        self.number = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def caught_signals(wanted: bool) -> Iterator[Interrupts]:
    """Remember SIGINT and SIGTERM while inside instead of dying of them. Threads other than the main one cannot."""
    asked = Interrupts()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {each: signal.signal(each, asked) for each in SIGNALS}
    try:
        yield asked
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
