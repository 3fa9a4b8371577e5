"""The tables of docs/results.md, from the results of the papers' experiments alone (`benchmarks/experiment.py`)."""

import json
from pathlib import Path
from typing import Any

from benchmarks.deployed import table as deployed_rows
from benchmarks.experiment import table

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
EXPERIMENTS = {
    "sequential_mnist_seeds": "sequential_mnist_seeds",
    "phones": "phones",
    "l2l_regression": "l2l_regression",
    "l2l_teachers": "l2l_regression --teachers",
    "l2l_arena": "l2l_arena",
    "maze": "maze",
    "language_model": "language_model",
}
"""Results files and the calls that make them, in the order of the page; those that do not exist yet are told as not run."""


def experiments() -> str:
    """Markdown: a section an experiment."""
    parts: list[str] = []
    for name, call in EXPERIMENTS.items():
        path = RESULTS / f"{name}.json"
        parts += _section(name, call, json.loads(path.read_text())) if path.exists() else [f"### {name}", "", "Not run yet.", ""]
    return "\n".join(parts).rstrip()


def _section(name: str, call: str, found: dict[str, Any]) -> list[str]:
    about, runs = found["about"], found["runs"]
    machines = sorted({run["machine"]["processor"] for run in runs})
    lines = [f"### {about['title']}", "", f"{about['paper']} `python -m benchmarks.{call}`, on {', '.join(machines)}.", ""]
    lines += [table(about, runs)]
    lines += ["", *[f"- {line}" for line in about["differs"]], "", f"![{about['title']}](../benchmarks/results/{name}.png)", ""]
    return lines


def deployed() -> str:
    """Markdown: every trained spiking network through the chain."""
    path = RESULTS / "deployed.json"
    return deployed_rows(json.loads(path.read_text())["networks"]) if path.exists() else "Not run yet."
