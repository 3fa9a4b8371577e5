"""Learning to learn functions from examples (Bellec et al. 2018): `python -m benchmarks.l2l_regression`.

An LSNN with fixed weights sees the examples of a function one after the other, each with the value of the one before, and answers better
and better: learning within an episode is in its activity. Beside it: a network of LIF neurons alone; ridge regression on the LSNN's spikes
(the paper's linear baseline), on x and on its tuning curves; and backpropagation from scratch, which meet the same kind of examples.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.graph import save
from neuromorph.tasks.regression_baselines import backprop_errors, ridge_errors
from neuromorph.tasks.teachers import FAMILIES, EpisodeConfig
from neuromorph.train.config import OptimizerConfig
from neuromorph.train.export import export
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.resumable import learn
from neuromorph.train.supervised import Loss, Supervised

LAST = 10
"""Examples at the end of an episode over which the metric is taken."""
BASELINES = ("spikes", "ridge", "curves", "backprop")
LEARNED = LSNNConfig(
    n_excitatory=45,
    n_inhibitory=15,
    n_adaptive=40,
    tau_m=10e-3,
    tau_a=(10e-3, 1.0),
    tau_out=5e-3,
    beta=1.6,
    v_th=0.03,
    n_ref=5,
    gamma=0.4,
)


@dataclass(frozen=True)
class Args:
    """`family`: of functions (`FAMILIES`); `rate_weight`: of the squared distance of rates from `rate_hz`; `tests`: fresh episodes."""

    conditions: tuple[str, ...] = ("lsnn", "lif", *BASELINES)
    seeds: tuple[int, ...] = (0, 1, 2)
    family: str = "sinusoids"
    episode: EpisodeConfig = field(default_factory=lambda: EpisodeConfig(neurons=40, width=0.05))
    network: LSNNConfig = LEARNED
    batch: int = 32
    updates: int = 6000
    lr: float = 2e-3
    lr_readout: float = 1e-2
    rate_hz: float = 20.0
    rate_weight: float = 5.0
    tests: int = 1280
    runs: Path = Path("runs/l2l_regression")
    models: Path = RESULTS.parent / "models"
    out: Path = RESULTS / "l2l_regression.json"


ARGS = {
    "sinusoids": Args(),
    "teachers": Args(family="teachers", episode=EpisodeConfig(neurons=80, width=0.03), out=RESULTS / "l2l_teachers.json"),
}


class Student:
    """An LSNN on the episodes of a family: its answers are readouts averaged over the steps of each example."""

    def __init__(self, args: Args, network: LSNNConfig, seed: int) -> None:
        self.args, self.family, e = args, FAMILIES[args.family], args.episode
        self.model = LSNN(network, e.channels(self.family), 1, dt=e.dt, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            self.model.weights()["recurrent"].fill_diagonal_(0)
        self.model.weights()["recurrent"].register_hook(lambda gradient: gradient.clone().fill_diagonal_(0))

    def errors(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Squared errors [examples, batch] on episodes drawn anew, and rates [n]."""
        e = self.args.episode
        shown = self.family.draw(batch, e.examples, generator)
        frames = self.model.frames(e.spikes(self.family, shown, generator))
        y = frames.y[..., 0].view(e.examples, e.steps, -1).mean(1) * 5 * self.family.y_most
        return (y - shown.y).square(), frames.rates

    @torch.no_grad()
    def traces(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Spikes of each neuron, filtered with 20 ms, averaged over examples [examples, batch, n]; values [examples, batch]."""
        e = self.args.episode
        shown = self.family.draw(batch, e.examples, generator)
        _, z = self.model(e.spikes(self.family, shown, generator))
        trace, kept = torch.zeros_like(z[0]), list[Tensor]()
        for now in z:
            trace = math.exp(-e.dt / 20e-3) * trace + now
            kept.append(trace)
        return torch.stack(kept).view(e.examples, e.steps, batch, -1).mean(1), shown.y

    def loss(self, update: int, seed: int) -> Loss:
        errors, rates = self.errors(self.args.batch, torch.Generator().manual_seed(seed * 1_000_003 + update))
        silent = (rates - self.args.rate_hz * self.args.episode.dt).square().mean()
        total = errors.mean() / self.family.deviation**2 + self.args.rate_weight * silent
        return Loss(total, float(errors[-LAST:].detach().mean()), float(rates.detach().mean()) / self.args.episode.dt)

    @torch.no_grad()
    def curve(self, episodes: int) -> Tensor:
        """Mean squared error by example, on fresh episodes, the same for all."""
        generator, size = torch.Generator().manual_seed(77), min(64, episodes)
        return torch.stack([self.errors(size, generator)[0].mean(1) for _ in range(episodes // size)]).mean(0)


def learned(args: Args, condition: str, seed: int) -> tuple[Student, Supervised]:
    """The network of a condition after training, which goes on where it was."""
    network = args.network
    if condition == "lif":
        network = replace(network, n_adaptive=0, n_excitatory=network.n_excitatory + network.n_adaptive)
    student = Student(args, network, seed)
    weights = student.model.weights()
    groups = [{"params": [weights["input"], weights["recurrent"]], "base_lr": args.lr}]
    groups.append({"params": [weights["readout"]], "base_lr": args.lr_readout})
    schedule = OptimizerConfig(lr=args.lr, schedule="cosine", warm_up=50, clip=1.0)
    learner = Supervised(
        student.model,
        torch.optim.Adam(groups),
        schedule,
        args.updates,
        loss=lambda update: student.loss(update, seed),
        validate=lambda: float(student.curve(64)[-LAST:].mean()),
        record_every=max(1, args.updates // 40),
    )
    about_run = {"condition": condition, "seed": seed, **settings(args)}
    learn(learner, args.updates, about=about_run, folder=args.runs / args.family / f"{condition}-{seed}", save_every=200)
    return student, learner


def spiking(args: Args, condition: str, seed: int) -> dict[str, Any]:
    student, learner = learned(args, condition, seed)
    if (condition, seed) == ("lsnn", 0):
        args.models.mkdir(exist_ok=True)
        told = {"task": "l2l_regression", "family": args.family, "answer": f"{5 * student.family.y_most:g} x mean readout of an example"}
        save(args.models / f"l2l_regression_{args.family}.h5", export(student.model, metadata=told))
    history = [[entry["update"], entry["train"]] for entry in learner.history]
    return {
        **judged(student.curve(args.tests)),
        "cpu_s": learner.cpu_seconds,
        "training": history,
        "rate_hz": learner.history[-1]["rate_hz"],
    }


def baseline(args: Args, condition: str, seed: int) -> dict[str, Any]:
    """The best of a few penalties or rates, chosen on other episodes."""
    family, e = FAMILIES[args.family], args.episode
    student = learned(args, "lsnn", seed)[0] if condition == "spikes" else None

    def errors(number: float, generator: torch.Generator) -> Tensor:
        if student:
            return ridge_errors(*student.traces(min(256, args.tests), generator), number)
        shown = family.draw(args.tests, e.examples, generator)
        if condition == "backprop":
            return backprop_errors(shown, 10, number, generator)
        curves = e.code(family.x_most).rates(shown.x).flatten(2) / e.rate_hz
        return ridge_errors(shown.x if condition == "ridge" else curves, shown.y, number)

    tried = (3e-3, 1e-2, 3e-2, 0.1) if condition == "backprop" else (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
    last = {number: float(errors(number, torch.Generator().manual_seed(5 + seed))[-LAST:].mean()) for number in tried}
    best = min(last, key=lambda number: last[number])
    return {**judged(errors(best, torch.Generator().manual_seed(77 + seed))), "cpu_s": 0.0, "chosen": best}


def judged(curve: Tensor) -> dict[str, Any]:
    return {"value": float(curve[-LAST:].mean()), "curve": [round(float(error), 5) for error in curve]}


def one(args: Args, condition: str, seed: int) -> dict[str, Any]:
    return (baseline if condition in BASELINES else spiking)(args, condition, seed)


def settings(args: Args) -> dict[str, Any]:
    kept = ("family", "batch", "updates", "lr", "lr_readout", "rate_hz", "rate_weight", "tests")
    told = {name: getattr(args, name) for name in kept}
    return {**told, "episode": asdict(args.episode), "network": asdict(args.network) | {"surrogate_options": {}}}


def about(args: Args) -> About:
    numbers = {"teachers": ("0.0056 +- 0.0039", "0.0217 +- 0.0046"), "sinusoids": ("0.3134 +- 0.2293", "1.4592 +- 0.1958")}[args.family]
    n = args.network
    conditions = {
        "lsnn": Condition(f"LSNN, {n.n_excitatory + n.n_inhibitory} LIF + {n.n_adaptive} ALIF, fixed weights", numbers[0]),
        "lif": Condition(f"{n.n} LIF, fixed weights"),
        "spikes": Condition("ridge regression on the LSNN's spikes, filtered with 20 ms", numbers[1]),
        "ridge": Condition("ridge regression on x"),
        "curves": Condition("ridge regression on x's tuning curves, without spikes"),
        "backprop": Condition("backpropagation from scratch, 10 hidden units, one example a step", "needs hundreds of examples"),
    }
    e = args.episode
    differs = (
        f"{e.examples} examples of {e.steps} ms an episode, {n.n} neurons, {e.neurons} input neurons a number, {args.updates:,} updates "
        f"of {args.batch} episodes; the paper: 500 of 20 ms, 100 to 300 neurons, 5,000 of 10. Readout of 5 ms time constant, no delays.",
        f"The metric is the error on the last {LAST} examples, the paper's that on the last 50 of 500 (by recollection, as its numbers).",
    )
    return About(
        f"Learning to learn: {args.family}", "Bellec et al. 2018, learning-to-learn.", "mean squared error", "lower", conditions, differs
    )


def main(args: Args) -> list[dict[str, Any]]:
    results = Results(args.out, about(args), settings(args))
    run_all(args, results, args.conditions, args.seeds, one)
    plot(results, args.out.with_suffix(".png"))
    return results.runs


def plot(results: Results, path: Path) -> None:
    """Error by number of examples seen, median over seeds; the paper's final number dotted."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for condition in results.about.conditions:
        curves = [run["curve"] for run in results.runs if run["condition"] == condition]
        if curves:
            ax.plot(range(len(curves[0])), np.median(curves, axis=0), label=f"{condition} ({len(curves)})")
    ax.axhline(
        float(results.about.conditions["lsnn"].paper.split()[0]), color="black", linestyle=":", label="paper, LSNN, after 450 to 500"
    )
    ax.set_yscale("log")
    ax.set_xlabel("examples seen")
    ax.set_ylabel("mean squared error on the next")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def smoke(folder: Path) -> Args:
    small = replace(LEARNED, n_excitatory=5, n_inhibitory=2, n_adaptive=3)
    sizes = {"episode": EpisodeConfig(12, 3, neurons=5, width=0.1), "network": small, "batch": 2, "updates": 3, "tests": 4}
    return Args(seeds=(0,), **sizes, runs=folder / "runs", models=folder / "models", out=folder / "l2l.json")


if __name__ == "__main__":
    given = chosen(__doc__ or "", ("lsnn", "lif", *BASELINES), {"teachers": "teacher networks in place of sinusoids"})
    if given.smoke:
        in_temporary_folder(lambda folder: main(smoke(folder)))
    else:
        main(replace(ARGS["teachers" if given.teachers else "sinusoids"], **parts(given)))
