"""The tables of docs/results.md, from the results of the papers' experiments alone (`benchmarks/experiment.py`)."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.deployed import table as deployed_rows
from benchmarks.experiment import summary, table

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


class Experiment(NamedTuple):
    """`call`: what makes the results; the condition that its paper proposes, and the one that it is held against."""

    call: str
    proposed: str
    against: str


EXPERIMENTS = {
    "sequential_mnist_seeds": Experiment("sequential_mnist_seeds", "lsnn", "lif"),
    "phones": Experiment("phones", "lsnn", "lif"),
    "l2l_regression": Experiment("l2l_regression", "lsnn", "spikes"),
    "l2l_teachers": Experiment("l2l_regression --teachers", "lsnn", "spikes"),
    "l2l_arena": Experiment("l2l_arena", "lsnn", "untrained"),
    "maze": Experiment("maze", "retroactive", "plain"),
    "language_model": Experiment("language_model", "retroactive", "lstm"),
}
"""By results file, in the order of the page; those that do not exist yet are told as not run."""


def experiments() -> str:
    """Markdown: a section an experiment."""
    parts: list[str] = []
    for name, experiment in EXPERIMENTS.items():
        path = RESULTS / f"{name}.json"
        parts += _section(name, experiment.call, json.loads(path.read_text())) if path.exists() else [f"### {name}", "", "Not run yet.", ""]
    return "\n".join(parts).rstrip()


def _section(name: str, call: str, found: dict[str, Any]) -> list[str]:
    about, runs = found["about"], found["runs"]
    machines = sorted({run["machine"]["processor"] for run in runs})
    lines = [f"### {about['title']}", "", f"{about['paper']} `python -m benchmarks.{call}`, on {', '.join(machines)}.", ""]
    lines += [table(about, runs)]
    lines += ["", *[f"- {line}" for line in about["differs"]], "", f"![{about['title']}](../benchmarks/results/{name}.png)", ""]
    return lines


def overview() -> str:
    """Markdown, for the README: a row an experiment."""
    lines = ["| experiment | metric, median over seeds | ours (paper) | held against (paper) | seeds | CPU hours |", "|---" * 6 + "|"]
    for name, experiment in EXPERIMENTS.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            lines.append(f"| {name} | not run yet | | | | |")
            continue
        found = json.loads(path.read_text())
        about, of = found["about"], summary(found["runs"])
        cells = [
            _told(about["conditions"][each], of[each]) if each in of else "not run" for each in (experiment.proposed, experiment.against)
        ]
        seeds, hours = min(each["seeds"] for each in of.values()), sum(each["cpu_hours"] for each in of.values())
        lines.append(
            f"| {about['title']} | {about['metric']} ({about['better']} is better) | {' | '.join(cells)} | {seeds} | {hours:.2g} |"
        )
    return "\n".join(lines)


def _told(condition: dict[str, Any], of: dict[str, Any]) -> str:
    return f"{condition['what']}: {of['median']:.4g} ({condition['paper'] or 'no number'})"


def deployed() -> str:
    """Markdown: every trained spiking network through the chain."""
    path = RESULTS / "deployed.json"
    return deployed_rows(json.loads(path.read_text())["networks"]) if path.exists() else "Not run yet."
