"""Finding a reward again in a maze, with and without neuromodulated plasticity (Miconi et al. 2019): `python -m benchmarks.maze`.

Networks of equal numbers of parameters learn by A2C; `--paper` takes the paper's maze, episodes and network. A stopped call goes on where
it was; `--conditions` and `--seeds` choose a part, so that two calls can share the work.
"""

import os
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks.curves import curves, draw
from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.tasks.maze import PAPER, Maze, MazeConfig, rewards_of_chance, rewards_of_knowing
from neuromorph.train.actor_critic import ActorCritic, ActorCriticConfig, rollout, train
from neuromorph.train.plastic import Plasticity, PlasticRNN

SOURCE = "section 4.2"
CONDITIONS = {
    "none": Condition("no plasticity", "least (no number)", SOURCE),
    "plain": Condition("plain Hebbian plasticity", "less than modulated (no number)", SOURCE),
    "simple": Condition("simple neuromodulation", "more than plain, p < 0.05 (no number)", SOURCE),
    "retroactive": Condition("retroactive neuromodulation", "more than plain, p < 0.05 (no number)", SOURCE),
}
RULES = {
    "none": Plasticity("none"),
    "plain": Plasticity("hebbian"),
    "simple": Plasticity("modulated"),
    "retroactive": Plasticity("retroactive", initial_eta=0.5),
}


@dataclass(frozen=True)
class Args:
    """`n` tanh neurons where plasticity is modulated, in the other networks as many as give as many parameters; alpha of the standard
    deviation `initial_alpha` at first; `batch` episodes an update; `episodes` fresh ones for the test. `runs`: states of training.
    """

    conditions: tuple[str, ...] = tuple(CONDITIONS)
    seeds: tuple[int, ...] = (0, 1, 2)
    n: int = 64
    initial_alpha: float = 0.01
    batch: int = 30
    episodes: int = 1500
    task: MazeConfig = field(default_factory=lambda: MazeConfig(side=9, steps=100))
    learning: ActorCriticConfig = field(
        default_factory=lambda: ActorCriticConfig(updates=3000, discount=0.9, discount_per="step", record_every=100)
    )
    runs: Path = Path("runs/maze")
    out: Path = RESULTS / "maze.json"


PAPERS = replace(
    Args(),
    n=100,
    task=PAPER,
    learning=ActorCriticConfig(
        updates=200_000, lr=1e-4, eps=1e-4, clip_norm=4.0, value=0.1, discount=0.9, discount_per="step", record_every=2000
    ),
    runs=Path("runs/maze_paper"),
    out=RESULTS / "maze_paper.json",
)
"""The paper's maze, episodes, network and, from its published code, optimiser."""


def about(args: Args) -> About:
    return About(
        title="Maze",
        paper="Backpropamine (Miconi et al. 2019, section 4.2; its results are curves)",
        metric="rewards an episode",
        better="higher",
        conditions=CONDITIONS,
        differs=(
            f"Fresh episodes with sampled actions. Actions at random earn {rewards_of_chance(args.task):.2f}, an agent that always knows "
            f"where it and the reward are {rewards_of_knowing(args.task):.1f} (both exact).",
            f"{args.task.side - 2} by {args.task.side - 2} cells and {args.task.steps} steps (paper: 9 by 9 and 200)",
            f"{args.n} neurons (100), {args.learning.updates:,} updates (200,000) of Adam at {args.learning.lr:g} (1e-4)",
            f"{len(args.seeds)} seeds (9); a reward counts 1 (10)",
            "alpha and w start normal with mean 0 (small and positive), eta of the retroactive rule at 0.5 (0.01)",
            "the baseline is each episode's own value (published code: the first episode's for all); entropy for squared probabilities",
        ),
    )


def made(args: Args, condition: str, seed: int) -> ActorCritic:
    """A network of the fewest neurons that give at least as many parameters as `args.n` with a modulator."""

    def of(rule: Plasticity, n: int) -> ActorCritic:
        generator = torch.Generator().manual_seed(seed)
        core = PlasticRNN(Maze.n_in, n, replace(rule, initial_alpha=args.initial_alpha), generator=generator)
        return ActorCritic(core, Maze.n_actions, generator=generator)

    enough = parameters(of(RULES["simple"], args.n))
    return next(model for n in count(args.n) if parameters(model := of(RULES[condition], n)) >= enough)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def found(model: ActorCritic, args: Args) -> float:
    """Rewards per fresh episode."""
    generator, batches = torch.Generator().manual_seed(77), max(1, args.episodes // args.batch)
    env = Maze(args.task, args.batch, generator)
    with torch.no_grad():
        return sum(float(rollout(model, env, generator).rewards.sum(0).mean()) for _ in range(batches)) / batches


def one(args: Args, condition: str, seed: int) -> dict[str, Any]:
    """Train one network; its curve and what it finds in the end, with plasticity and without."""
    model = made(args, condition, seed)
    folder = args.runs / f"{condition}-{seed}"
    learner = train(model, lambda g: Maze(args.task, args.batch, g), args.learning, seed=1000 + seed, folder=folder)
    told = {
        "value": found(model, args),
        "cpu_s": learner.history[-1]["cpu_s"],
        "neurons": model.core.n,
        "parameters": parameters(model),
        "updates": [entry["update"] for entry in learner.history],
        "rewards": [round(sum(entry["rewards"]), 3) for entry in learner.history],
        "norms": [float(f"{entry['norm']:.3g}") for entry in learner.history],
    }
    if model.core.plasticity.plastic:
        model.core = model.core.without_plasticity()
        told["plasticity_off"] = found(model, args)
    return told


def settings(args: Args) -> dict[str, Any]:
    """What makes two results comparable."""
    kept = {name: getattr(args, name) for name in ("n", "initial_alpha", "batch", "episodes")}
    return {**kept, "task": asdict(args.task), "learning": asdict(args.learning)}


def main(args: Args) -> list[dict[str, Any]]:
    results = Results(args.out, about(args), settings(args))
    run_all(args, results, args.conditions, args.seeds, one)
    lines = {"best possible": rewards_of_knowing(args.task), "at random": rewards_of_chance(args.task)}
    draw(args.out.with_suffix(".png"), curves(results.runs, "updates", "rewards"), ("updates", "rewards per episode"), lines)
    return results.runs


def smoke(folder: Path) -> Args:
    """Every condition once, for a moment."""
    learning = ActorCriticConfig(updates=4, record_every=2, save_every=1, discount=0.9, discount_per="step")
    small = Args(seeds=(0,), n=6, batch=3, episodes=6, task=MazeConfig(5, 8), learning=learning)
    return replace(small, runs=folder / "runs", out=folder / "maze.json")


if __name__ == "__main__":
    os.environ.setdefault("NEUROMORPH_THREADS", "1")
    given = chosen(__doc__ or "", tuple(CONDITIONS), {"paper": "the paper's maze, episodes, network and optimiser"})
    if given.smoke:
        in_temporary_folder(lambda folder: main(smoke(folder)))
    else:
        main(replace(PAPERS if given.paper else Args(), **parts(given)))
