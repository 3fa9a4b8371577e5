"""What the papers' experiments share: results kept run by run, their summary over seeds beside the paper's numbers, the command line.

A results file is one JSON object: `about` (title, metric, what each condition is and what the paper reports for it), `summary` (by
condition: seeds, median, least, largest, hours) and `runs`, one a condition and seed, each with the settings that it was made with. A call
that was stopped goes on where it was; two calls may share a file. `docs/results.md` is made of these files alone.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from scipy.stats import t as student_t

from benchmarks.machine import machine
from neuromorph.files import atomic_write

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Condition:
    """`what` it is, in a few words; `paper`: what the paper reports for it, "" where nothing; `source`: table or figure."""

    what: str
    paper: str = ""
    source: str = ""


@dataclass(frozen=True)
class About:
    """`metric`: of a run's `value`, with its unit; `better`: "higher" or "lower". `differs`: from the paper's setting, one a line."""

    title: str
    paper: str
    metric: str
    better: str
    conditions: Mapping[str, Condition]
    differs: Sequence[str] = field(default_factory=tuple)


class Results:
    """The runs in `path` that were made with `settings` (JSON values)."""

    def __init__(self, path: Path, about: About, settings: Mapping[str, Any]) -> None:
        self.path, self.about = path, about
        self.settings = json.loads(json.dumps(settings, default=str))

    @property
    def runs(self) -> list[dict[str, Any]]:
        """As the file has them now."""
        kept = json.loads(self.path.read_text())["runs"] if self.path.exists() else []
        return [run for run in kept if run["settings"] == self.settings]

    def has(self, condition: str, seed: int) -> bool:
        return any((run["condition"], run["seed"]) == (condition, seed) for run in self.runs)

    def add(self, condition: str, seed: int, value: float, cpu_s: float, **more: Any) -> None:
        """A finished run: `value` of the metric, CPU seconds over all sittings, and `more` (curves, counts; JSON values)."""
        told = {
            "condition": condition,
            "seed": seed,
            "value": value,
            "cpu_s": cpu_s,
            **more,
            "settings": self.settings,
            "machine": machine(),
        }
        runs = [run for run in self.runs if (run["condition"], run["seed"]) != (condition, seed)] + [told]
        order = list(self.about.conditions)
        runs.sort(key=lambda run: (order.index(run["condition"]), run["seed"]))
        found = {"about": asdict(self.about), "summary": summary(runs), "runs": runs}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path, (json.dumps(found, indent=1) + "\n").encode())


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By condition, over seeds. `interval`: half the 95 % interval of the mean by Student's t, with three seeds or more."""
    found: dict[str, dict[str, Any]] = {}
    for condition in dict.fromkeys(run["condition"] for run in runs):
        chosen = [run for run in runs if run["condition"] == condition]
        values = [run["value"] for run in chosen]
        found[condition] = {
            "seeds": len(values),
            "median": statistics.median(values),
            "least": min(values),
            "largest": max(values),
            "mean": statistics.mean(values),
            "interval": half_interval(values) if len(values) > 2 else None,
            "cpu_hours": sum(run["cpu_s"] for run in chosen) / 3600,
        }
    return found


def half_interval(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean of independent normal values."""
    return float(student_t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5)


def table(about: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str:
    """The summary in Markdown, with the paper's numbers beside. `about`: of a results file."""
    head = ("condition", "paper", f"here: {about['metric']}, median (range over seeds)", "mean, 95 % interval", "seeds", "CPU hours")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, of in summary(runs).items():
        condition = about["conditions"][name]
        paper = condition["paper"] + (f" ({condition['source']})" if condition["paper"] and condition["source"] else "")
        ours = f"{of['median']:.4g} ({of['least']:.4g} to {of['largest']:.4g})"
        mean = f"{of['mean']:.4g} +- {of['interval']:.2g}" if of["interval"] is not None else "-"
        rows.append(f"| {condition['what']} | {paper or '-'} | {ours} | {mean} | {of['seeds']} | {of['cpu_hours']:.2g} |")
    return "\n".join(rows)


def run_all[A](
    args: A, results: Results, conditions: Sequence[str], seeds: Sequence[int], one: Callable[[A, str, int], dict[str, Any]]
) -> None:
    """Every condition and seed that the results lack. `one`: gives the keywords of `Results.add`."""
    for seed in seeds:
        for condition in conditions:
            if not results.has(condition, seed):
                found = one(args, condition, seed)
                results.add(condition, seed, **found)
                print(f"{condition}, seed {seed}: {found['value']:.4g}", flush=True)
    print(table(asdict(results.about), results.runs))


def chosen(
    description: str, conditions: Sequence[str], presets: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None
) -> argparse.Namespace:
    """The command line of an experiment: `smoke`, `conditions` and `seeds` (None: those of Args), a flag for each of `presets` and a text
    for each of `options` (name and help). The process is its own from then on: one thread, no denormal numbers.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, results to a temporary folder")
    parser.add_argument("--conditions", nargs="+", choices=tuple(conditions))
    parser.add_argument("--seeds", nargs="+", type=int)
    for name, told in (presets or {}).items():
        parser.add_argument(f"--{name}", action="store_true", help=told)
    for name, told in (options or {}).items():
        parser.add_argument(f"--{name}", help=told)
    return parser.parse_args()


def parts(given: argparse.Namespace) -> dict[str, tuple[Any, ...]]:
    """What the command line chose, for `dataclasses.replace`."""
    return {name: tuple(value) for name in ("conditions", "seeds") if (value := getattr(given, name))}


def in_temporary_folder(run: Callable[[Path], Any]) -> None:
    """For `--smoke`."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))
