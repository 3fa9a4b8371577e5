"""Wheels, sdists and clean environments, by uv; what takes a package index is skipped where there is none."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BYTECODE = "__pycache__"


@cache
def uv() -> str:
    """The program, of this checkout or of the machine."""
    ours = ROOT / ".uv" / "bin" / "uv"
    found = str(ours) if ours.exists() else shutil.which("uv")
    return found or pytest.skip("there is no uv (`make env` gets it)")


@cache
def need_index() -> None:
    """Skip the test where no package index answers and what it needs is in no cache."""
    asked = subprocess.run([uv(), "pip", "compile", "--quiet", "-"], input="hatchling>=1.27\n", text=True, capture_output=True)
    if asked.returncode:
        pytest.skip(f"there is no package index: {asked.stderr.strip().splitlines()[-1]}")


def need_python(version: str) -> str:
    """The path of an interpreter of that version on this machine; uv downloads none."""
    command = [uv(), "python", "find", "--no-python-downloads", "--no-project", "--system", version]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.strip()
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(kept[-1]) if kept else pytest.skip(f"there is no Python {version} on this machine")


def build(out: Path) -> tuple[Path, Path]:
    """The sdist of this checkout, and the wheel built from the sdist."""
    need_index()
    subprocess.run([uv(), "build", "--quiet", "--out-dir", str(out), str(ROOT)], check=True, capture_output=True, text=True)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@dataclass(frozen=True)
class Venv:
    """An environment of its own in `folder`."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        """Its site-packages."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    @property
    def megabytes(self) -> float:
        """What is installed, without bytecode, which Python writes as it goes."""
        return sum(p.stat().st_size for p in self.site.rglob("*") if p.is_file() and BYTECODE not in p.parts) / 1e6

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """A program of it, in a folder that is no checkout, with no variables that lead Python elsewhere."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        full = [str(self.folder / "bin" / str(command[0])), *map(str, command[1:])]
        return subprocess.run(full, capture_output=True, text=True, cwd=self.folder, env={**environment, "COLUMNS": "200"})

    def told(self, *command: object) -> str:
        """Standard output of a program that succeeds."""
        done = self.run(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


def make_venv(folder: Path, python: str, *requirements: object) -> Venv:
    """A new environment with these and what they need, and nothing else."""
    need_index()
    made = Venv(folder)
    subprocess.run([uv(), "venv", "--quiet", "--python", python, str(folder)], check=True, capture_output=True, text=True)
    install = [uv(), "pip", "install", "--quiet", "--python", str(made.python), *map(str, requirements)]
    done = subprocess.run(install, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return made
