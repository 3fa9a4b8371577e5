"""Cue-reward with and without neuromodulated plasticity (Miconi et al. 2019, fig. 1): `python -m benchmarks.cue_reward`.

Each rule and seed trains anew by A2C; results are kept one by one and runs in their folders, so that a stopped call goes on
where it was. `--rules` and `--seeds` choose a part, so that two calls can share the work. The table in docs/plasticity.md is printed
at the end.
"""

import argparse
import io
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine
from neuromorph.files import atomic_write
from neuromorph.report import style
from neuromorph.tasks.cue_reward import PAPER, CueReward, CueRewardConfig, bayes_ceiling
from neuromorph.train.actor_critic import ActorCritic, ActorCriticConfig, rollout, train
from neuromorph.train.plastic import Plasticity, PlasticRNN

HERE = Path(__file__).parent
RULES = {
    "none": Plasticity("none"),
    "plain": Plasticity("hebbian"),
    "simple": Plasticity("modulated"),
    "retroactive": Plasticity("retroactive", initial_eta=0.5),
}
LATE, PASSED = slice(10, 15), 0.8
"""Trials 11 to 15; the share of right answers in them at which a run counts as having learned."""


@dataclass(frozen=True)
class Args:
    """`n` tanh neurons with alpha of the standard deviation `initial_alpha` at first, `batch` episodes an update; `episodes` fresh ones for
    the test. `runs`: states of training.
    """

    rules: tuple[str, ...] = tuple(RULES)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    n: int = 64
    initial_alpha: float = 0.05
    batch: int = 32
    episodes: int = 2048
    task: CueRewardConfig = field(default_factory=CueRewardConfig)
    learning: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    runs: Path = Path("runs/cue_reward")
    out: Path = HERE / "results" / "cue_reward.json"


PAPERS = Args(
    rules=("simple", "retroactive", "plain", "none"),
    seeds=(0,),
    n=200,
    initial_alpha=0.01,
    batch=30,
    episodes=600,
    task=PAPER,
    learning=ActorCriticConfig(updates=3000, lr=3e-4, record_every=25, save_every=25),
    runs=Path("runs/cue_reward_paper"),
    out=HERE / "results" / "cue_reward_paper.json",
)
"""The paper's network, episodes and batch; alpha starts as small as there. At the short task's 1e-3 and 0.05 gradients burst here."""


def accuracy(model: ActorCritic, args: Args, seed: int) -> list[float]:
    """Share of right greedy answers by trial over fresh episodes, as far as every episode has the trial."""
    generator = torch.Generator().manual_seed(seed)
    env = CueReward(args.task, args.batch, generator)
    sums = torch.zeros(2, args.task.most_trials, dtype=torch.float64)
    for _ in range(max(1, args.episodes // args.batch)):
        with torch.no_grad():
            played = rollout(model, env, generator, greedy=True)
        trial = played.deciding.cumsum(0)[played.deciding] - 1
        right = (played.rewards[played.deciding] > 0).double()
        sums.index_add_(1, trial, torch.stack([right, torch.ones_like(right)]))
    return (sums[0] / sums[1])[sums[1] == sums[1, 0]].tolist()


def one(args: Args, rule: str, seed: int) -> dict[str, Any]:
    """Train one network; its curve and what it answers in the end, with plasticity and without."""
    generator = torch.Generator().manual_seed(seed)
    core = PlasticRNN(args.task.n_in, args.n, replace(RULES[rule], initial_alpha=args.initial_alpha), generator=generator)
    model = ActorCritic(core, 2, generator=generator)
    folder = args.runs / f"{rule}-{seed}"
    learner = train(model, lambda g: CueReward(args.task, args.batch, g), args.learning, seed=1000 + seed, folder=folder)
    found = {"on": accuracy(model, args, 77)}
    if rule != "none":
        model.core = core.without_plasticity()
        found["off"] = accuracy(model, args, 77)
    curve = [[(1 + reward) / 2 for reward in entry["rewards"]] for entry in learner.history]
    late = [float(np.mean(entry[LATE])) for entry in curve]
    passed = next((entry["update"] for entry, share in zip(learner.history, late) if share >= PASSED), None)
    return {
        "parameters": sum(p.numel() for p in core.parameters()) + model.weights.numel() + model.bias.numel(),
        "test": found,
        "updates": [entry["update"] for entry in learner.history],
        "late": late,
        "passed_at": passed,
        "cpu_s": learner.history[-1]["cpu_s"],
        "eta": learner.history[-1]["eta"],
        "last_curve": curve[-1],
    }


def settings(args: Args) -> dict[str, Any]:
    """What makes two results comparable."""
    kept = {name: getattr(args, name) for name in ("n", "initial_alpha", "batch", "episodes")}
    return {**kept, "task": asdict(args.task), "learning": asdict(args.learning)}


def load(args: Args) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = json.loads(args.out.read_text())["runs"] if args.out.exists() else []
    return [run for run in done if run["settings"] == settings(args)]


def main(args: Args) -> list[dict[str, Any]]:
    for seed in args.seeds:
        for rule in args.rules:
            if any((run["rule"], run["seed"]) == (rule, seed) for run in load(args)):
                continue
            start = time.monotonic()
            found = {"rule": rule, "seed": seed, **one(args, rule, seed), "settings": settings(args), "machine": machine()}
            runs = [*load(args), found]  # another call may have added some meanwhile
            runs.sort(key=lambda run: (list(RULES).index(run["rule"]), run["seed"]))
            ceiling = bayes_ceiling(args.task.cues, args.task.most_trials)
            told = {"ceiling": ceiling, "summary": summary(runs), "runs": runs}
            atomic_write(args.out, (json.dumps(told, indent=1) + "\n").encode())
            plot(runs, ceiling, args)
            on = found["test"]["on"]
            print(rule, seed, f"last trial {on[-1]:.3f}, passed at {found['passed_at']}, {time.monotonic() - start:.0f} s", flush=True)
    print(table(load(args)))
    return load(args)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """By rule: median and quartiles over seeds of the last trials, and updates until the late trials pass (None: never)."""
    found = {}
    for rule in dict.fromkeys(run["rule"] for run in runs):
        chosen = [run for run in runs if run["rule"] == rule]
        passed = [run["passed_at"] for run in chosen]
        of = {"seeds": len(chosen), "passed_at": passed}
        for state in ("on", "off"):
            tests = [run["test"][state] for run in chosen if state in run["test"]]
            if tests:
                curves = np.array(tests)
                last, late = curves[:, min(14, curves.shape[1] - 1)], curves[:, LATE].mean(1)
                of[state] = {
                    "trial_15": np.quantile(last, (0.25, 0.5, 0.75)).tolist(),
                    "late": np.quantile(late, (0.25, 0.5, 0.75)).tolist(),
                }
        found[rule] = of
    return found


def table(runs: list[dict[str, Any]]) -> str:
    """The summary in Markdown: median (quartiles) over seeds."""

    def told(of: dict[str, Any], state: str, what: str) -> str:
        if state not in of:
            return "-"
        low, middle, high = of[state][what]
        return f"{middle:.3f} ({low:.3f} to {high:.3f})"

    head = ("rule", "seeds", "trial 15", "trials 11 to 15", "trial 15, plasticity off", "updates until trials 11 to 15 reach 0.8")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for rule, of in summary(runs).items():
        values = (told(of, "on", "trial_15"), told(of, "on", "late"), told(of, "off", "trial_15"))
        passed = ", ".join("never" if update is None else f"{update:,}" for update in of["passed_at"])
        rows.append(f"| {rule} | {of['seeds']} | {' | '.join(values)} | {passed} |")
    return "\n".join(rows)


def plot(runs: list[dict[str, Any]], ceiling: list[float], args: Args) -> None:
    """Left: late accuracy while training; right: the test by trial, dotted without plasticity. Median and quartiles over seeds."""
    left = style.new_axis(None, 860.0, 300.0)
    figure = left.get_figure(root=True)
    assert figure is not None
    grid = figure.add_gridspec(1, 2)
    left.set_subplotspec(grid[0])
    right = style.new_axis(figure.add_subplot(grid[1]))
    for colour, rule in zip((style.INK, style.ORANGE, style.BLUE, style.GREEN), RULES):
        chosen = [run for run in runs if run["rule"] == rule]
        if not chosen:
            continue
        _band(left, chosen[0]["updates"], [run["late"] for run in chosen], colour, f"{rule} ({len(chosen)})")
        for state, line in (("on", "-"), ("off", ":")):
            tests = [run["test"][state] for run in chosen if state in run["test"]]
            if tests:
                _band(right, range(1, len(tests[0]) + 1), tests, colour, None, line)
    trials = range(1, len(ceiling) + 1)
    right.plot(trials, ceiling, "--", color=style.PURPLE, linewidth=1.2)
    left.plot([], [], "--", color=style.PURPLE, label="Bayes ceiling")
    left.plot([], [], ":", color=style.INK, label="plasticity off")
    style.label(left, "updates", "right answers, trials 11 to 15")
    style.label(right, "trial of the episode", "right answers, test")
    style.legend(left)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, facecolor="white", transparent=False)
    atomic_write(args.out.with_suffix(".png"), buffer.getvalue())


def _band(ax: Any, x: Any, rows: list[list[float]], colour: str, label: str | None, line: str = "-") -> None:
    low, middle, high = np.quantile(np.array(rows), (0.25, 0.5, 0.75), axis=0)
    ax.plot(x, middle, line, color=colour, label=label, linewidth=1.5)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def smoke(folder: Path) -> Args:
    """Every rule once, for a moment."""
    learning = ActorCriticConfig(updates=2, record_every=1)
    small = Args(seeds=(0,), n=6, batch=3, episodes=6, task=CueRewardConfig(bits=3), learning=learning)
    return replace(small, runs=folder / "runs", out=folder / "cue.json")


if __name__ == "__main__":
    os.environ.setdefault("NEUROMORPH_THREADS", "1")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, results to a temporary folder")
    parser.add_argument("--paper", action="store_true", help="the paper's network and episodes")
    parser.add_argument("--rules", nargs="+", choices=tuple(RULES))
    parser.add_argument("--seeds", nargs="+", type=int)
    given = parser.parse_args()
    chosen = {name: tuple(value) for name in ("rules", "seeds") if (value := getattr(given, name))}
    with tempfile.TemporaryDirectory() as temporary:
        main(smoke(Path(temporary)) if given.smoke else replace(PAPERS if given.paper else Args(), **chosen))
