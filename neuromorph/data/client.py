"""Calls of package managers' own clients."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from neuromorph.errors import DataError

TIMEOUT_S = 600


def call(command: Sequence[str], folder: Path) -> bytes:
    """What the command writes to its output, run inside `folder`.

    Raises:
        DataError: it cannot be started, fails, or takes longer than ten minutes.
    """
    told = shlex.join([Path(command[0]).name, *command[1:]])
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{told}: {error}. Is there a network?") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:] or "it says nothing"
        raise DataError(f"{told} failed with code {done.returncode}: {said}. Is there a network? Try it by hand.")
    return done.stdout
