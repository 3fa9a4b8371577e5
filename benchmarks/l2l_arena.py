"""Learning to find a hidden goal again (Bellec et al. 2018, meta-reinforcement learning): `python -m benchmarks.l2l_arena`.

An LSNN with fixed weights steers an agent in a circular arena with a goal on the border that keeps its place for an episode. PPO over many
goals trains it to search the border and, once rewarded, to come back: what it remembers is in its activity. Beside it: a network of LIF
neurons alone, the LSNN before training, and a scripted agent that searches and returns without noise. `--paper` takes the paper's sizes.
"""

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.graph import save
from neuromorph.report import style
from neuromorph.tasks.arena import Arena, ArenaCode, ArenaConfig, SpikingArena, search_and_return, visits
from neuromorph.train.export import export
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.ppo import Agent, Episodes, PPOConfig, act, train
from neuromorph.train.stepping import Stepper

CONDITIONS = ("lsnn", "lif", "untrained", "script")
SECTIONS = 25
"""Points of the curve over an episode."""


@dataclass(frozen=True)
class Args:
    """`batch` episodes an update; `tests`: fresh ones for the test, with sampled actions. `runs`: states of training."""

    conditions: tuple[str, ...] = CONDITIONS
    seeds: tuple[int, ...] = (0, 1, 2)
    task: ArenaConfig = field(default_factory=ArenaConfig)
    code: ArenaCode = field(default_factory=ArenaCode)
    network: LSNNConfig = field(default_factory=lambda: LSNNConfig(40, 20, 40, tau_m=10e-3, tau_a=(50e-3, 1.0), tau_out=10e-3, beta=1.7))
    batch: int = 32
    learning: PPOConfig = field(default_factory=PPOConfig)
    tests: int = 1024
    runs: Path = Path("runs/l2l_arena")
    models: Path = RESULTS.parent / "models"
    out: Path = RESULTS / "l2l_arena.json"


PAPERS = Args(
    task=ArenaConfig(steps=2000, speed=0.02),
    code=ArenaCode(steps=1, reward=40),
    network=LSNNConfig(200, 80, 120, tau_a=1.2, beta=1.7, max_input_delay=10, max_recurrent_delay=10),
    batch=10,
    learning=PPOConfig(lr=1e-2, lr_readout=1e-2, discount=0.99),
    runs=Path("runs/l2l_arena_paper"),
    out=RESULTS / "l2l_arena_paper.json",
)
"""The paper's episodes, network and batch, as recollected; all synapses, where the paper has 20 % under DEEP R."""


def made(args: Args, condition: str, seed: int) -> LSNN:
    """A network that has not learned, without synapses of a neuron to itself."""
    network = args.network
    if condition == "lif":
        network = replace(network, n_adaptive=0, n_excitatory=network.n_excitatory + network.n_adaptive)
    readouts = 2 * Arena.n_actions + 1
    model = LSNN(network, args.code.channels, readouts, dt=args.code.dt, generator=torch.Generator().manual_seed(seed))
    recurrent = model.weights()["recurrent"]
    with torch.no_grad():
        recurrent.fill_diagonal_(0)
    recurrent.register_hook(lambda gradient: gradient.clone().fill_diagonal_(0))
    return model


def measured(args: Args, model: LSNN, *, blind: bool = False) -> dict[str, Any]:
    """Visits in fresh episodes, the same for all; `blind`: without the spikes of rewards."""
    env = SpikingArena(args.task, args.code, args.tests, torch.Generator().manual_seed(77), blind=blind)
    return judged(played(Stepper(model, args.tests), env)[1])


def played(agent: Agent, env: SpikingArena) -> tuple[Episodes, torch.Tensor]:
    """Episodes, and who reached the goal in each move [steps, B]."""
    reached: list[torch.Tensor] = []
    episodes = act(agent, env, env.generator, watch=lambda: reached.append(env.arena.reached))
    return episodes, torch.stack(reached)


def judged(reached: torch.Tensor) -> dict[str, Any]:
    found = visits(reached)
    sections = np.array_split(np.array(found.by_step), min(SECTIONS, len(found.by_step)))
    by_step = [round(float(part.mean()), 4) for part in sections]
    return {"value": found.goals, "first": round(found.first, 2), "later": round(found.later, 2), "by_step": by_step}


def path(args: Args, model: LSNN, seed: int) -> dict[str, Any]:
    """The goal and the agent's way in one episode, a line from each start to the goal or to the end."""
    env = SpikingArena(args.task, args.code, 1, torch.Generator().manual_seed(seed))
    lines: list[list[list[float]]] = []

    def watch() -> None:
        arena = env.arena
        if not lines:
            lines.append([])
        lines[-1].append(rounded(arena.arrived))
        if bool(arena.reached):
            lines.append([rounded(arena.place)])

    act(Stepper(model, 1), env, env.generator, watch)
    return {"goal": rounded(env.arena.goal), "lines": lines}


def rounded(place: torch.Tensor) -> list[float]:
    return [round(float(number), 3) for number in place[0]]


def one(args: Args, condition: str, seed: int) -> dict[str, Any]:
    model = made(args, condition, seed)
    if condition == "untrained":
        return {**measured(args, model), "cpu_s": 0.0, "path": path(args, model, 5)}
    if condition == "script":
        arena, reached = Arena(args.task, args.tests, torch.Generator().manual_seed(77 + seed)), []
        agent = search_and_return(arena)
        while not arena.done:
            arena.step(agent())
            reached.append(arena.reached)
        return {**judged(torch.stack(reached)), "cpu_s": 0.0}
    about_run = {"task": asdict(args.task), "code": asdict(args.code), "batch": args.batch}
    folder = args.runs / f"{condition}-{seed}"

    def make(generator: torch.Generator) -> SpikingArena:
        return SpikingArena(args.task, args.code, args.batch, generator)

    learner = train(model, make, args.learning, seed=1000 + seed, about=about_run, folder=folder)
    if (condition, seed) == ("lsnn", 0):
        args.models.mkdir(exist_ok=True)
        told = {"task": "l2l_arena", "readouts": "means by tanh, deviations by the logistic function, value"}
        save(args.models / "l2l_arena.h5", export(model, metadata=told))
    return {
        **measured(args, model),
        "blind": measured(args, model, blind=True)["value"],
        "cpu_s": learner.cpu_seconds,
        "updates": [entry["update"] for entry in learner.history],
        "rewards": [round(entry["rewards"], 3) for entry in learner.history],
        "rate_hz": learner.history[-1]["rate_hz"],
        "std": learner.history[-1]["std"],
        "path": path(args, model, 5),
    }


def settings(args: Args) -> dict[str, Any]:
    """What makes two results comparable."""
    network = asdict(args.network) | {"surrogate_options": {}}
    told = {"task": asdict(args.task), "code": asdict(args.code), "network": network, "learning": asdict(args.learning)}
    return {**told, "batch": args.batch, "tests": args.tests}


def about(args: Args) -> About:
    n, task, code, of = args.network, args.task, args.code, args.learning
    lif = n.n_excitatory + n.n_inhibitory
    conditions = {
        "lsnn": Condition(f"LSNN, {lif} LIF + {n.n_adaptive} ALIF, fixed weights", "learns to search the border and to return (no number)"),
        "lif": Condition(f"{n.n} LIF, fixed weights"),
        "untrained": Condition("the LSNN before training", "does not find the goal (no number)"),
        "script": Condition("scripted: round on the border, then straight back, without noise"),
    }
    return About(
        title="Meta-reinforcement learning: a hidden goal",
        paper="Bellec et al. 2018, meta-reinforcement learning (its result is a curve and drawn paths; settings by recollection).",
        metric="goals an episode",
        better="higher",
        conditions=conditions,
        differs=(
            f"{task.steps} moves of up to {task.speed:g} radii an episode, each {code.steps} steps of {1e3 * code.dt:g} ms of the network "
            "(paper: 2,000 moves of 0.02 and 1 ms)",
            f"the goal is reached within {task.goal_radius:g} radii of it (not known for the paper)",
            f"{n.n} neurons, all synapses, delays of up to {n.max_recurrent_delay} ms, tau_a {n.tau_a} s (paper: 400, 20 % of the synapses "
            "under DEEP R, 10 ms, 1.2 s)",
            f"{of.updates:,} updates of {of.epochs} gradient steps on {args.batch} episodes; actions are sampled in the test, too",
            "a reward or a penalty of any size makes its input neurons fire at their highest rate",
        ),
    )


def main(args: Args) -> list[dict[str, Any]]:
    results = Results(args.out, about(args), settings(args))
    run_all(args, results, args.conditions, args.seeds, one)
    plot(results.runs, args.out.with_suffix(".png"), args.task)
    return results.runs


def plot(runs: list[dict[str, Any]], file: Path, task: ArenaConfig) -> None:
    """Goals over training; visits over an episode, which memory makes rise; the ways of one agent before and after training."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    top, below = figure.subplots(2, 2)
    for ax in (*top, *below):
        style.new_axis(ax)
    for colour, condition in zip((style.BLUE, style.ORANGE, style.INK, style.GREEN), CONDITIONS):
        chosen_runs = [run for run in runs if run["condition"] == condition]
        if not chosen_runs:
            continue
        if "rewards" in chosen_runs[0]:
            top[0].plot(chosen_runs[0]["updates"], np.median([run["rewards"] for run in chosen_runs], axis=0), color=colour)
        else:
            top[0].axhline(np.median([run["value"] for run in chosen_runs]), color=colour, linestyle=":")
        by_step = np.median([run["by_step"] for run in chosen_runs], axis=0)
        x = (np.arange(len(by_step)) + 0.5) * task.steps / len(by_step)
        top[1].plot(x, by_step, color=colour, label=f"{condition} ({len(chosen_runs)})")
    style.label(top[0], "updates", "reward an episode")
    style.label(top[1], "move of the episode", "visits to the goal a move")
    style.legend(top[1])
    for ax, condition, title in zip(below, ("untrained", "lsnn"), ("before training", "after training")):
        ways = [run["path"] for run in runs if run["condition"] == condition]
        ax.add_patch(Circle((0, 0), 1, fill=False, color=style.INK))
        ax.set(aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), title=title)
        ax.set_axis_off()
        for way in ways[:1]:
            ax.add_patch(Circle(tuple(way["goal"]), task.goal_radius, color=style.GREEN, alpha=0.3))
            for number, line in enumerate(way["lines"]):
                ax.plot(*zip(*line), ".-", markersize=3, linewidth=1, color=style.VERMILLION if number == 0 else style.BLUE)
    below[1].plot([], [], color=style.VERMILLION, label="until the first visit")
    below[1].plot([], [], color=style.BLUE, label="later")
    below[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(file, dpi=110, facecolor="white", transparent=False)


def smoke(folder: Path) -> Args:
    """Every condition once, for a moment."""
    small = replace(Args().network, n_excitatory=6, n_inhibitory=2, n_adaptive=4)
    learning = PPOConfig(updates=4, epochs=2, record_every=2, save_every=1)
    sizes = {"task": ArenaConfig(steps=20, goal_radius=0.5), "code": ArenaCode(steps=3), "network": small, "batch": 3, "tests": 8}
    return Args(seeds=(0,), **sizes, learning=learning, runs=folder / "runs", models=folder / "models", out=folder / "arena.json")


if __name__ == "__main__":
    os.environ.setdefault("NEUROMORPH_THREADS", "1")
    given = chosen(__doc__ or "", CONDITIONS, {"paper": "the paper's episodes and network"})
    if given.smoke:
        in_temporary_folder(lambda folder: main(smoke(folder)))
    else:
        main(replace(PAPERS if given.paper else Args(), **parts(given)))
