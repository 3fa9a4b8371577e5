"""Sequential MNIST (Bellec et al. 2018, table S1): `python -m benchmarks.sequential_mnist_seeds`, after `neuromorph data fetch mnist`.

LSNNs at 12 % (DEEP R) and full, a network of LIF neurons alone, and an LSTM, at 1 and 2 ms a pixel: equal split, input, batches and number
of updates. The budget is far below the paper's 36,000 updates of 256 images, so that several seeds fit;
`benchmarks/sequential_mnist.py` shows one long run.
"""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.dataset import Samples
from neuromorph.tasks.choose import load_task
from neuromorph.train import TrainConfig, resume, train
from neuromorph.train.resumable import learn
from neuromorph.train.schedule import epoch_order
from neuromorph.train.state import has_state
from neuromorph.train.supervised import Loss, Supervised

PAPER = "Bellec et al. 2018, table S1: mean and standard deviation of 12 runs (best)."
LIF = ("network.n_adaptive=0", "network.n_excitatory=166")
SLOW = ("task.encoding.steps_per_pixel=2", "network.tau_a=1.4", "training.window=112")
CHANGES: dict[str, tuple[str, ...]] = {
    "lsnn": (),
    "full": ("deep_r.connectivity=1.0", "deep_r.l1=0.0"),
    "lif": LIF,
    "lstm": (),
    "lsnn_2ms": SLOW,
    "lif_2ms": (*SLOW, *LIF),
    "lstm_2ms": SLOW,
}
"""What differs from neuromorph/configs/sequential_mnist.toml."""


def about(updates: int) -> About:
    conditions = {
        "lsnn": Condition("LSNN, 120 LIF + 100 ALIF, DEEP R 12 %, 1 ms a pixel", "94.2 +- 0.3 % (94.7 %)"),
        "full": Condition("LSNN, all synapses, each of a fixed sign, 1 ms", "about 93.5 %, as cited by others"),
        "lif": Condition("220 LIF, DEEP R 12 %, 1 ms", "60.9 % (63.3 %)"),
        "lstm": Condition("LSTM, 128 units, 1 ms", "79.8 +- 26.6 % (98.5 %)"),
        "lsnn_2ms": Condition("LSNN, DEEP R 12 %, 2 ms", "93.8 +- 5.8 % (96.4 %)"),
        "lif_2ms": Condition("220 LIF, 2 ms", "34.6 % (51.8 %)"),
        "lstm_2ms": Condition("LSTM, 2 ms", "48.2 +- 39.9 % (98.0 %)"),
    }
    differs = (
        f"{updates:,} updates of 128 images for 36,000 of 256; validation images are drawn from all training images, the best model of "
        "the validations is tested (the paper: the last).",
        "The LSTM sees the same crossings and cue, and decides by its mean readout over the cue; Adam 1e-3, gradients cut at norm 1.",
    )
    return About("Sequential MNIST", PAPER, "test accuracy [%]", "higher", conditions, differs)


@dataclass(frozen=True)
class Args:
    """`test`, `train`: images of those parts (None: all)."""

    conditions: tuple[str, ...] = ("lsnn", "lif", "lstm", "full", "lsnn_2ms", "lif_2ms", "lstm_2ms")
    seeds: tuple[int, ...] = (0, 1, 2)
    updates: int = 2000
    batch: int = 128
    units: int = 128
    lstm_lr: float = 1e-3
    train: int | None = None
    validation: int = 1000
    test: int | None = None
    runs: Path = Path("runs/sequential_mnist_seeds")
    out: Path = RESULTS / "sequential_mnist_seeds.json"


def config(args: Args, condition: str, seed: int) -> TrainConfig:
    """The shipped configuration with the condition's changes and the budget of `args`; the rate falls as often as in the whole run."""
    evaluated = max(1, args.updates // 4)
    budget = [f"training.updates={args.updates}", f"training.batch={args.batch}", f"training.seed={seed}", "training.tensorboard=false"]
    budget += [f"training.evaluate_every={evaluated}", f"training.log_every={evaluated}"]
    budget += [f"optimizer.step_every={max(1, args.updates * 2500 // 36000)}"]
    budget += [f"task.{part}={getattr(args, part)}" for part in ("train", "validation", "test") if getattr(args, part)]
    return TrainConfig.read("sequential_mnist", [*CHANGES[condition], *budget])


def spiking(args: Args, condition: str, seed: int) -> dict[str, Any]:
    """An LSNN or LIF network. Of a run that went on, the wall time of all sittings stands for CPU time."""
    settings, folder = config(args, condition, seed), args.runs / f"{condition}-{seed}"
    data, start, went_on = load_task(settings.task), time.process_time(), has_state(folder)
    result = resume(folder, data) if went_on else train(settings, data, folder=folder)
    curve = [[r.update, 100 * r.validation.accuracy] for r in result.history if r.validation]
    told = {"curve": curve, "synapses": result.n_active, "rate_hz": result.test.rate_hz, "wall_s": result.seconds}
    return {"value": 100 * result.test.accuracy, "cpu_s": result.seconds if went_on else time.process_time() - start, **told}


class Lstm(nn.Module):
    """Logits [batch, classes] of spikes [time, batch, channels]: readout averaged over the last `window` steps."""

    def __init__(self, n_in: int, units: int, n_out: int, window: int) -> None:
        super().__init__()
        self.lstm, self.readout, self.window = nn.LSTM(n_in, units), nn.Linear(units, n_out), window

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.lstm(x.float())[0][-self.window :].mean(0))


def lstm(args: Args, condition: str, seed: int) -> dict[str, Any]:
    settings = config(args, condition, seed)
    data = load_task(settings.task)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Lstm(data.train.n_neurons, args.units, data.n_classes, settings.training.window)
    per_epoch = len(data.train) // args.batch

    def loss(update: int) -> Loss:
        epoch, index = divmod(update, per_epoch)
        some = epoch_order(len(data.train), seed, epoch)[index * args.batch : (index + 1) * args.batch]
        logits, labels = model(torch.from_numpy(data.train.dense(some))), torch.from_numpy(data.train.labels[some])
        return Loss(cross_entropy(logits, labels), float((logits.argmax(1) != labels).float().mean()))

    optimizer = torch.optim.Adam(model.parameters(), lr=args.lstm_lr)
    schedule = replace(settings.optimizer, lr=args.lstm_lr, clip=1.0)
    validate = lambda: wrong(model, data.validation)  # noqa: E731
    learner = Supervised(model, optimizer, schedule, args.updates, loss=loss, validate=validate, record_every=max(1, args.updates // 4))
    told = {name: str(value) for name, value in asdict(args).items() if name not in ("runs", "out", "conditions", "seeds")}
    folder = args.runs / f"{condition}-{seed}"
    learn(learner, args.updates, about={"condition": condition, "seed": seed, **told}, folder=folder, save_every=25)
    parameters = sum(p.numel() for p in model.parameters())
    curve = [[entry["update"], 100 * (1 - entry["validation"])] for entry in learner.history]
    return {"value": 100 * (1 - wrong(model, data.test)), "cpu_s": learner.cpu_seconds, "curve": curve, "parameters": parameters}


@torch.no_grad()
def wrong(model: nn.Module, part: Samples) -> float:
    """Share of wrong decisions."""
    chunks = np.array_split(np.arange(len(part)), max(1, len(part) // 250))
    found = [(model(torch.from_numpy(part.dense(some))).argmax(1).numpy() != part.labels[some]).sum() for some in chunks]
    return float(sum(found) / len(part))


def one(args: Args, condition: str, seed: int) -> dict[str, Any]:
    return (lstm if condition.startswith("lstm") else spiking)(args, condition, seed)


def main(args: Args) -> list[dict[str, Any]]:
    kept = {name: getattr(args, name) for name in ("updates", "batch", "units", "lstm_lr", "train", "validation", "test")}
    results = Results(args.out, about(args.updates), kept)
    run_all(args, results, args.conditions, args.seeds, one)
    plot(results, args.out.with_suffix(".png"))
    return results.runs


def plot(results: Results, path: Path) -> None:
    """Validation accuracy while training, every seed; the paper's final means as marks at the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    colours = {"lsnn": "C0", "full": "C1", "lif": "C2", "lstm": "C3"}
    for ax, slow in zip(axes, (False, True)):
        for run in results.runs:
            name = run["condition"].removesuffix("_2ms")
            if run["condition"].endswith("_2ms") == slow:
                ax.plot(*zip(*run["curve"]), color=colours[name], label=name if run["seed"] == 0 else None)
        for name, mean in ({"lsnn": 93.8, "lif": 34.6, "lstm": 48.2} if slow else {"lsnn": 94.2, "lif": 60.9, "lstm": 79.8}).items():
            ax.axhline(mean, color=colours[name], linestyle=":", linewidth=1)
        ax.set_xlabel("update")
        ax.set_title(f"{1 + slow} ms a pixel (dotted: the paper, after 36,000 updates)", fontsize=9)
    axes[0].set_ylabel("accuracy [%]")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def smoke(folder: Path) -> Args:
    """Two updates of the four kinds at 1 ms."""
    sizes = {"updates": 2, "batch": 4, "units": 8, "train": 32, "validation": 8, "test": 8}
    return Args(conditions=("lsnn", "lif", "lstm"), seeds=(0,), **sizes, runs=folder / "runs", out=folder / "mnist.json")


if __name__ == "__main__":
    given = chosen(__doc__ or "", tuple(CHANGES))
    if given.smoke:
        in_temporary_folder(lambda folder: main(smoke(folder)))
    else:
        main(replace(Args(), **parts(given)))
