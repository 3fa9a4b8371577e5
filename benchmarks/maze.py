"""Finding a reward again in a maze, with and without plasticity (Miconi et al. 2019, section 4.2): `python -m benchmarks.maze`.

Networks of about equal numbers of parameters are trained by A2C; `--paper` takes the paper's maze, episodes and network. A stopped call
goes on where it was; `--conditions` and `--seeds` choose a part, so that two calls can share the work.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.tasks.maze import PAPER, Maze, MazeConfig, rewards_of_chance, rewards_of_knowing
from neuromorph.train.actor_critic import ActorCritic, ActorCriticConfig, rollout, train
from neuromorph.train.plastic import Plasticity, PlasticRNN

RULES = {
    "none": Plasticity("none"),
    "plain": Plasticity("hebbian"),
    "simple": Plasticity("modulated"),
    "retroactive": Plasticity("retroactive", initial_eta=0.5),
}


@dataclass(frozen=True)
class Args:
    """`n` tanh neurons (the network without plasticity gets more, to have as many parameters), `batch` episodes an update; `episodes` fresh
    ones for the test.
    """

    conditions: tuple[str, ...] = ("simple", "plain", "retroactive", "none")
    seeds: tuple[int, ...] = (0, 1, 2)
    n: int = 64
    initial_alpha: float = 0.02
    batch: int = 30
    episodes: int = 1200
    task: MazeConfig = field(default_factory=MazeConfig)
    learning: ActorCriticConfig = field(
        default_factory=lambda: ActorCriticConfig(updates=3000, discount=0.9, discount_per="step", record_every=50, save_every=50)
    )
    runs: Path = Path("runs/maze")
    out: Path = RESULTS / "maze.json"


PAPERS = Args(
    seeds=(0,),
    n=100,
    task=PAPER,
    learning=ActorCriticConfig(updates=20000, lr=3e-4, discount=0.9, discount_per="step", record_every=50, save_every=50),
    runs=Path("runs/maze_paper"),
    out=RESULTS / "maze_paper.json",
)


def network(args: Args, condition: str, generator: torch.Generator) -> ActorCritic:
    """A plastic network of `n` neurons, or one without plasticity whose size comes closest to its parameters."""

    def made(n: int, rule: Plasticity) -> ActorCritic:
        core = PlasticRNN(Maze.n_in, n, replace(rule, initial_alpha=args.initial_alpha), generator=generator)
        return ActorCritic(core, Maze.n_actions, generator=generator)

    if condition != "none":
        return made(args.n, RULES[condition])
    wanted = parameters(made(args.n, RULES["simple"]))
    sizes = {n: abs(parameters(made(n, RULES["none"])) - wanted) for n in range(args.n, 2 * args.n)}
    return made(min(sizes, key=lambda n: sizes[n]), RULES["none"])


def parameters(model: ActorCritic) -> int:
    return sum(p.numel() for p in model.parameters())


def one(args: Args, condition: str, seed: int) -> dict[str, Any]:
    """Rewards an episode over fresh episodes with sampled actions; its curve; and with plasticity switched off."""
    model = network(args, condition, torch.Generator().manual_seed(seed))
    folder = args.runs / f"{condition}-{seed}"
    learner = train(model, lambda g: Maze(args.task, args.batch, g), args.learning, seed=1000 + seed, folder=folder)
    curve = [[entry["update"], sum(entry["rewards"])] for entry in learner.history]
    found = {"value": rewards(model, args), "parameters": parameters(model)}
    if condition != "none":
        assert isinstance(model.core, PlasticRNN)
        model.core = model.core.without_plasticity()
        found["off"] = rewards(model, args)
    norm = max(entry["norm"] for entry in learner.history)
    return {**found, "cpu_s": learner.history[-1]["cpu_s"], "curve": curve[:: max(1, len(curve) // 80)], "largest_norm": norm}


@torch.no_grad()
def rewards(model: ActorCritic, args: Args) -> float:
    """Mean rewards an episode."""
    generator = torch.Generator().manual_seed(77)
    env, many = Maze(args.task, args.batch, generator), max(1, args.episodes // args.batch)
    return float(sum(rollout(model, env, generator).rewards.sum(0).mean() for _ in range(many)) / many)


def about(args: Args) -> About:
    conditions = {
        "simple": Condition("simple neuromodulation", "highest, with retroactive (no number)", "figure 2"),
        "retroactive": Condition("retroactive neuromodulation", "highest, with simple (no number)", "figure 2"),
        "plain": Condition("plain plasticity", "below modulated, p < 0.05 (no number)", "figure 2"),
        "none": Condition("no plasticity, as many parameters", "lowest (no number)", "figure 2"),
    }
    chance, knowing = rewards_of_chance(args.task), rewards_of_knowing(args.task)
    cells, paper = args.task.side - 2, PAPER.side - 2
    differs = (
        f"{cells} by {cells} cells, {args.task.steps} steps, {args.n} neurons for {paper} by {paper}, {PAPER.steps}, 100; "
        f"{args.learning.updates:,} updates for 200,000.",
        f"Actions at random earn {chance:.2f}, an agent that always knows the reward's place and its own {knowing:.1f} (both exact).",
        "A reward counts 1 (theirs 10); each element's own value is its baseline; alpha and w start with mean 0.",
    )
    what = "Backpropamine's maze (Miconi et al. 2019, section 4.2, figure 2; its results are curves)."
    return About("Maze", what, "rewards an episode", "higher", conditions, differs)


def main(args: Args) -> list[dict[str, Any]]:
    kept = {name: getattr(args, name) for name in ("n", "initial_alpha", "batch", "episodes")}
    results = Results(args.out, about(args), {**kept, "task": asdict(args.task), "learning": asdict(args.learning)})
    run_all(args, results, args.conditions, args.seeds, one)
    plot(results, args, args.out.with_suffix(".png"))
    return results.runs


def plot(results: Results, args: Args, path: Path) -> None:
    """Rewards an episode while training, median and range over seeds; chance dotted."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for condition in results.about.conditions:
        curves = [np.array(run["curve"]) for run in results.runs if run["condition"] == condition]
        if curves:
            values = np.stack([curve[:, 1] for curve in curves])
            (line,) = ax.plot(curves[0][:, 0], np.median(values, 0), label=f"{condition} ({len(curves)})")
            ax.fill_between(curves[0][:, 0], values.min(0), values.max(0), alpha=0.2, color=line.get_color(), linewidth=0)
    ax.axhline(rewards_of_chance(args.task), color="black", linestyle=":", label="actions at random")
    ax.set_xlabel("updates")
    ax.set_ylabel("rewards an episode")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def smoke(folder: Path) -> Args:
    """Every condition once, for a moment."""
    learning = ActorCriticConfig(updates=2, discount=0.9, discount_per="step", record_every=1, save_every=1)
    task = MazeConfig(side=5, steps=6)
    return Args(seeds=(0,), n=6, batch=3, episodes=6, task=task, learning=learning, runs=folder / "runs", out=folder / "maze.json")


if __name__ == "__main__":
    given = chosen(__doc__ or "", tuple(RULES), {"paper": "the paper's maze, episodes and network"})
    if given.smoke:
        in_temporary_folder(lambda folder: main(smoke(folder)))
    else:
        main(replace(PAPERS if given.paper else Args(), **parts(given)))
