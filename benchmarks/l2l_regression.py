"""Learning to learn functions from examples (Bellec et al. 2018): `python -m benchmarks.l2l_regression`.

An LSNN with fixed weights sees the examples of a function one after the other, each with the value of the one before, and answers better
and better: learning within an episode is in its activity. Beside it: a network of LIF neurons alone; ridge regression on the LSNN's spikes
(the paper's linear baseline), on x and on its tuning curves; and backpropagation from scratch, which meet the same kind of examples.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.graph import save
from neuromorph.tasks.regression_baselines import backprop_errors, ridge_errors
from neuromorph.tasks.regression_training import LAST, RegressionTraining, Student, train
from neuromorph.tasks.teachers import FAMILIES, EpisodeConfig
from neuromorph.train.export import export
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.supervised import Supervised

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
    """`family`: of functions (`FAMILIES`); `tests`: fresh episodes."""

    conditions: tuple[str, ...] = ("lsnn", "lif", *BASELINES)
    seeds: tuple[int, ...] = (0, 1, 2)
    family: str = "sinusoids"
    episode: EpisodeConfig = field(default_factory=lambda: EpisodeConfig(neurons=40, width=0.05))
    network: LSNNConfig = LEARNED
    training: RegressionTraining = field(default_factory=RegressionTraining)
    tests: int = 1280
    runs: Path = Path("runs/l2l_regression")
    models: Path = RESULTS.parent / "models"
    out: Path = RESULTS / "l2l_regression.json"


ARGS = {
    "sinusoids": Args(),
    "teachers": Args(family="teachers", episode=EpisodeConfig(neurons=80, width=0.03), out=RESULTS / "l2l_teachers.json"),
}


def learned(args: Args, condition: str, seed: int) -> tuple[Student, Supervised]:
    """The network of a condition after training, which goes on where it was."""
    network = args.network
    if condition == "lif":
        network = replace(network, n_adaptive=0, n_excitatory=network.n_excitatory + network.n_adaptive)
    student = Student(FAMILIES[args.family], args.episode, network, seed=seed)
    told, folder = {"condition": condition, "seed": seed, **settings(args)}, args.runs / args.family / f"{condition}-{seed}"
    return student, train(student, args.training, seed=seed, about=told, folder=folder)


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
    training = {name: value for name, value in asdict(args.training).items() if name != "save_every"}
    return {
        "family": args.family,
        **training,
        "tests": args.tests,
        "episode": asdict(args.episode),
        "network": asdict(args.network) | {"surrogate_options": {}},
    }


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
    e, of = args.episode, args.training
    differs = (
        f"{e.examples} examples of {e.steps} ms an episode, {n.n} neurons, {e.neurons} input neurons a number, {of.updates:,} updates "
        f"of {of.batch} episodes; the paper: 500 of 20 ms, 100 to 300 neurons, 5,000 of 10. Readout of 5 ms time constant, no delays.",
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
    sizes: dict[str, Any] = {"episode": EpisodeConfig(12, 3, neurons=5, width=0.1), "network": small, "tests": 4}
    sizes["training"] = RegressionTraining(updates=3, batch=2)
    return Args(seeds=(0,), **sizes, runs=folder / "runs", models=folder / "models", out=folder / "l2l.json")


if __name__ == "__main__":
    given = chosen(__doc__ or "", ("lsnn", "lif", *BASELINES), {"teachers": "teacher networks in place of sinusoids"})
    if given.smoke:
        in_temporary_folder(lambda folder: main(smoke(folder)))
    else:
        main(replace(ARGS["teachers" if given.teachers else "sinusoids"], **parts(given)))
