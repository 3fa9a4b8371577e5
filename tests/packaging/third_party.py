"""A tiny package of somebody else, as it lies in site-packages: files, and the metadata that an installer leaves."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from neuromorph.hardware.template import write_template

BACKEND = """
from dataclasses import replace
from neuromorph.backends.reference import ReferenceBackend

class Tiny(ReferenceBackend):
    name = "tiny"

    def run(self, graph, inputs, **options):
        return replace(super().run(graph, inputs, **options), backend=self.name)
"""
TASK = """
from dataclasses import dataclass
import numpy as np
from neuromorph.dataset import Dataset, LabelledSpikes
from neuromorph.spikes import Spikes

@dataclass(frozen=True)
class Encoding:
    n_channels: int = 4

def part(n, encoding):
    labels = np.arange(n) % 2
    dense = np.zeros((12, n, encoding.n_channels), np.bool_)
    dense[:, labels == 0, 0] = dense[:, labels == 1, 1] = True
    return LabelledSpikes(Spikes.from_dense(dense, 1e-3), labels)

def load(encoding):
    return Dataset("left_right", 2, train=part(16, encoding), validation=part(8, encoding), test=part(8, encoding))
"""


def install(site: Path, name: str, files: Mapping[str, str], entry_points: str, version: str = "1.0") -> None:
    """Lay the package out in a folder that is on the path."""
    for file, text in files.items():
        path = site / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    metadata = site / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(textwrap.dedent(entry_points))


def install_tiny(site: Path) -> None:
    """A backend `tiny`, a folder of profiles with `tinychip`, a task `left_right`."""
    files = {"__init__.py": "", "backend.py": BACKEND, "chips/__init__.py": "", "left_right.py": TASK}
    points = """
        [neuromorph.backends]
        tiny = acme.backend:Tiny
        [neuromorph.profiles]
        acme = acme.chips
        [neuromorph.tasks]
        left_right = acme.left_right
        """
    install(site, "acme", files, points)
    write_template("tinychip", site / "acme" / "chips" / "tinychip.toml", "loihi1")


def neuromorph(site: Path, *args: object, python: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    """The program, where that folder is on the path."""
    command = [str(python), "-m", "neuromorph", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"})
