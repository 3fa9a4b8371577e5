"""Start the worker in a fresh interpreter, watch it, and leave no process of it behind.

Importing Lava forces the `fork` start method, a cycle can hang it silently, and it starts a process for each part of the
network. They leave their parent but stay in the worker's process group and keep its output pipe open: the group is ended
as a whole, and the end of the pipe tells that all of them are gone.
"""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic as clock

from neuromorph.backends.lava import needs
from neuromorph.errors import BackendError

FOLDER = Path(__file__).parent
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


def run_worker(python: str, job: Path, timeout: float, watch: Callable[[], None] = lambda: None) -> None:
    """Run one job to its end, calling `watch` several times a second.

    Raises:
        BackendError: the worker failed (its last output is quoted) or did not end within `timeout` seconds.
    """
    deadline = clock() + timeout
    with _worker(python, job) as process:
        output = bytearray()
        while process.poll() is None:
            if clock() > deadline:
                raise BackendError(
                    f"lava: the run did not end within {timeout:.0f} s and was ended. Give LavaBackend a larger timeout, or run "
                    f"fewer samples.{_quoted(output)}"
                )
            _drain(process, output, POLL)
            watch()
        while _drain(process, output, 0.0):
            pass
        if process.returncode:
            raise BackendError(f"lava: the worker failed with status {process.returncode}.{_quoted(output)}")
    watch()


@contextmanager
def _worker(python: str, job: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The worker as leader of a process group of its own, which ends with this context."""
    process = subprocess.Popen(
        [python, str(FOLDER / "worker.py"), str(job)],
        stdin=subprocess.PIPE,  # stays open while we live; the worker ends with it
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, which multiprocessing's resource tracker outlives to remove shared memory; SIGKILL to what remains."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if _all_gone(process):
            break
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def _all_gone(process: subprocess.Popen[bytes]) -> bool:
    """Whether, within the grace period, nobody is left who could write to the output pipe."""
    deadline = clock() + GRACE
    while clock() < deadline:
        if _drain(process, bytearray(), POLL) is None:
            return True
    return False


def _drain(process: subprocess.Popen[bytes], output: bytearray, timeout: float) -> bool | None:
    """Take what the worker printed: True if there was something, None at the end of the pipe."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout):
            return False
    chunk = os.read(process.stdout.fileno(), 2**16)
    output += chunk
    del output[:-TAIL]
    return True if chunk else None


def _quoted(output: bytearray) -> str:
    return f"\nLast output of the worker:\n{output.decode(errors='replace').strip()}" if output else ""
