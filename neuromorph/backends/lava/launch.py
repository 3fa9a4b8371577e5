"""Start the worker in a fresh interpreter, talk to it, and leave nothing of it behind.

Importing Lava forces the `fork` start method, a cycle can hang it silently, and it starts a process for each part of the
network. They leave their parent but stay in the worker's process group and keep its output pipes open: the group is ended
as a whole, and the end of the pipes tells that all of them are gone.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic as clock
from typing import Any

from neuromorph.backends.lava import needs
from neuromorph.errors import BackendError

FOLDER = Path(__file__).parent
SHARED_MEMORY = Path("/dev/shm")  # where Linux shows it; elsewhere the resource tracker must do
TAIL = 4000  # bytes of the worker's output shown in an error
POLL = 0.1  # seconds
GRACE = 5.0  # seconds given to a group to end


def interpreter() -> str:
    """The Python that runs Lava: $NEUROMORPH_LAVA_PYTHON, or this one."""
    return os.environ.get("NEUROMORPH_LAVA_PYTHON") or sys.executable


def missing_modules(python: str) -> list[str]:
    """Modules that the worker needs and `python` lacks.

    Raises:
        BackendError: `python` does not run.
    """
    if python == sys.executable:
        return needs.missing()
    try:
        done = subprocess.run([python, str(FOLDER / "needs.py")], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendError(f"lava: the interpreter {python!r} does not run ({error}); correct NEUROMORPH_LAVA_PYTHON.") from error
    return done.stdout.split()


class Worker:
    """A worker process that keeps the netlist of a folder alive, as leader of a process group of its own."""

    def __init__(self, python: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [python, str(FOLDER / "worker.py"), str(folder)],
            stdin=subprocess.PIPE,  # stays open while we live; the group ends with it
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        self._answers, self._printed = bytearray(), bytearray()
        self._pipes = selectors.DefaultSelector()
        for pipe, taken in ((self._process.stdout, self._answers), (self._process.stderr, self._printed)):
            assert pipe is not None
            self._pipes.register(pipe, selectors.EVENT_READ, taken)
        self._shared_memory: list[str] = []

    def call(self, call: Mapping[str, object], n_samples: int, timeout: float, done: Callable[[int], None]) -> None:
        """Have the worker carry out a call; `done` is told the samples done after each.

        Raises:
            BackendError: the worker failed (what it printed last is quoted) or was not done within `timeout` seconds.
        """
        deadline = clock() + timeout
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which is told below
            self._process.stdin.write(json.dumps(call).encode() + b"\n")
            self._process.stdin.flush()
        while True:
            ended = self._process.poll()
            for answer in self._read(0.0 if ended is not None else POLL):
                if samples := answer.get("done"):
                    done(samples)
                if samples == n_samples:
                    return
            if ended is not None:
                raise BackendError(f"lava: the worker ended with status {ended}; open a new session.{self._quoted()}")
            if clock() > deadline:
                raise BackendError(
                    f"lava: the call did not end within {timeout:.0f} s and the network was ended. Give LavaBackend a larger "
                    f"timeout, or run fewer samples.{self._quoted()}"
                )

    def end(self) -> None:
        """End the whole group and remove its shared memory.

        SIGTERM first, which multiprocessing's resource tracker outlives to remove shared memory; SIGKILL to what remains. The
        tracker may have been killed too: then what the worker listed is removed here.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            if self._all_gone():
                break
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._pipes.close()
        for name in self._shared_memory:
            (SHARED_MEMORY / name).unlink(missing_ok=True)

    def _all_gone(self) -> bool:
        """Whether, within the grace period, nobody is left who could write to the pipes."""
        deadline = clock() + GRACE
        while clock() < deadline:
            self._read(POLL)
            if not self._pipes.get_map():
                return True
        return False

    def _read(self, timeout: float) -> list[dict[str, Any]]:
        """Take what the worker printed and answered; gives its complete answers."""
        for key, _ in self._pipes.select(timeout):
            chunk = os.read(key.fd, 2**16)
            key.data.extend(chunk)
            if not chunk:
                self._pipes.unregister(key.fileobj)
        del self._printed[:-TAIL]
        *lines, self._answers[:] = self._answers.split(b"\n")
        answers = [json.loads(line) for line in lines]
        for answer in answers:
            self._shared_memory += answer.get("shared_memory", [])
        return answers

    def _quoted(self) -> str:
        text = self._printed.decode(errors="replace").strip()
        return f"\nLast output of the worker:\n{text}" if text else ""
