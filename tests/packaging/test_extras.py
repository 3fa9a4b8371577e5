"""Light extras, each in its own clean environment; `benchmarks/install_matrix.py` does it with all of them on every Python."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.install_matrix import PROBES
from tests.packaging.venvs import ROOT, make_venv

LIGHT = ("map", "report", "nir")


@pytest.mark.parametrize("extra", LIGHT)
def test_an_extra_alone_gives_what_it_promises(extra: str, wheel: Path, small: Path, tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", sys.executable, f"neuromorph[{extra}] @ file://{wheel}")
    for name in ("m.h5", "s.h5"):
        (venv.folder / name).write_bytes((small / name).read_bytes())
    venv.told("python", "-c", PROBES[extra])


def test_the_matrix_in_small(tmp_path: Path) -> None:
    """One row, from the build of the wheel to the result."""
    command = [sys.executable, "-m", "benchmarks.install_matrix", "--smoke", "--out", str(tmp_path / "matrix.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
