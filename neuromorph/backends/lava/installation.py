"""Install Lava into an interpreter whose version its metadata refuses.

lava-nc 0.10.0, the last release, declares Python 3.10, numpy 1 and networkx up to 2.8.7; what it needs is less, see `shim`.
"""

import importlib
import shutil
import subprocess

from neuromorph.errors import BackendError

LAVA = "lava-nc==0.10.0"
NEEDS = ("numpy", "scipy", "networkx", "asteval")


def commands(python: str) -> tuple[list[str], list[str]]:
    """The commands that install what Lava needs, then Lava without its bounds: by the pip of `python`, else by uv.

    Raises:
        BackendError: there is neither.
    """
    if _runs([python, "-m", "pip", "--version"]):
        pip = [python, "-m", "pip", "install"]
        return [*pip, *NEEDS], [*pip, "--no-deps", "--ignore-requires-python", LAVA]
    if uv := shutil.which("uv"):  # which takes no notice of upper bounds on Python
        pip = [uv, "pip", "install", "--python", python]
        return [*pip, *NEEDS], [*pip, "--no-deps", LAVA]
    raise BackendError(
        f"lava: {python!r} has no pip, and no uv is found; install one of them (python -m ensurepip), or name another Python."
    )


def install(command: list[str]) -> None:
    """Run one of the commands; what it prints goes to standard error.

    Raises:
        BackendError: it failed.
    """
    status = subprocess.run(command, stdout=2).returncode
    importlib.invalidate_caches()  # it may have been this interpreter
    if status:
        raise BackendError(f"lava: the installer ended with status {status}; its output tells why. The command was: {' '.join(command)}")


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False
