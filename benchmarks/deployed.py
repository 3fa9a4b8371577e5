"""Every trained spiking network of the papers' experiments through the whole chain: `python -m benchmarks.deployed`.

The networks lie in models/, each with the test data and the metric of its own experiment. A network runs in floats and in the integers of
Loihi 2; the first samples on every simulator; the integers are mapped, their energy is estimated on Loihi 1 and 2. `--only` chooses some.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import l2l_arena, l2l_regression, phones
from benchmarks.deployment import Deployment, through_the_chain
from benchmarks.machine import machine
from neuromorph.backends.fast import FastBackend
from neuromorph.cli.output import joules
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, load
from neuromorph.spikes import Spikes
from neuromorph.tasks import sequential_mnist
from neuromorph.tasks.acting import Acting
from neuromorph.tasks.arena import SpikingArena
from neuromorph.tasks.phones import SpikingPhones, answers, together
from neuromorph.tasks.phones import errors as phone_errors
from neuromorph.tasks.regression_training import LAST
from neuromorph.tasks.regression_training import answers as regression_answers
from neuromorph.tasks.teachers import FAMILIES
from neuromorph.train.ppo import Episodes

HERE = Path(__file__).parent


def mnist(models: Path, samples: int) -> Deployment:
    graph = load(models / "sequential_mnist_threshold.h5")
    test = sequential_mnist.load(sequential_mnist.Encoding()).test
    labels, window = test.labels[:samples], int(graph.metadata["decision_window"])
    inputs = {graph.inputs[0].name: Spikes.from_dense(test.dense(np.arange(samples)), test.dt)}

    def right(_: Graph, readouts: Mapping[str, np.ndarray]) -> float:
        (y,) = readouts.values()
        return float((y[-window:].mean(0).argmax(1) == labels).mean())

    return Deployment("sequential MNIST, 1 ms a pixel, DEEP R 12 %", graph, inputs, right, "accuracy")


def phone_frames(models: Path, samples: int) -> Deployment:
    graph, args = load(models / "phones_online.h5"), phones.Args()
    shown = together(phones.corpus(args.corpus, args.root, args.snr_db).test[:samples])
    network = phones.network(args, "online", 0)
    assert isinstance(network, SpikingPhones)
    inputs = {graph.inputs[0].name: Spikes.from_dense(network.input(shown).numpy(), graph.dt)}

    def wrong(_: Graph, readouts: Mapping[str, np.ndarray]) -> float:
        (y,) = readouts.values()
        errors, frames = phone_errors(answers(torch.from_numpy(y), args.encoding.steps_per_frame, args.delay), shown.labels)
        return errors / frames

    return Deployment("phones, one direction, DEEP R 20 %", graph, inputs, wrong, "frame error")


def regression(family_name: str, models: Path, samples: int) -> Deployment:
    graph, args = load(models / f"l2l_regression_{family_name}.h5"), l2l_regression.ARGS[family_name]
    family, e, generator = FAMILIES[family_name], args.episode, torch.Generator().manual_seed(99)
    shown = family.draw(samples, e.examples, generator)
    inputs = {graph.inputs[0].name: Spikes.from_dense(e.spikes(family, shown, generator).numpy(), e.dt)}

    def error(_: Graph, readouts: Mapping[str, np.ndarray]) -> float:
        (y,) = readouts.values()
        return float((regression_answers(torch.from_numpy(y), family, e) - shown.y).square()[-LAST:].mean())

    return Deployment(f"learning to learn: {family_name}", graph, inputs, error, "mean squared error")


def arena(models: Path, samples: int) -> Deployment:
    """It acts in a closed loop, in floats and in integers; what it saw in floats is its input for counts and simulators."""
    graph, args = load(models / "l2l_arena.h5"), l2l_arena.Args()

    def play(of: Graph) -> tuple[Episodes, torch.Tensor]:
        env = SpikingArena(args.task, args.code, samples, torch.Generator().manual_seed(99))
        with torch.no_grad(), FastBackend().step_session(of, n_samples=samples) as session:
            return l2l_arena.played(Acting(of, session), env)

    def goals(of: Graph, _: Mapping[str, np.ndarray]) -> float:
        return float(play(of)[1].sum(0).float().mean())

    inputs = {graph.inputs[0].name: Spikes.from_dense(play(graph)[0].spikes.numpy(), args.code.dt)}
    return Deployment("learning to learn: arena", graph, inputs, goals, "goals an episode")


NETWORKS: dict[str, Callable[[Path, int], Deployment]] = {
    "sequential_mnist": mnist,
    "phones": phone_frames,
    "sinusoids": partial(regression, "sinusoids"),
    "teachers": partial(regression, "teachers"),
    "arena": arena,
}


@dataclass(frozen=True)
class Args:
    """`samples` of each test part; `checked` of them on every simulator but Lava, `in_lava` there."""

    only: tuple[str, ...] = tuple(NETWORKS)
    samples: int = 500
    checked: int = 20
    in_lava: int = 4
    models: Path = HERE / "models"
    out: Path = HERE / "results" / "deployed.json"


def main(args: Args) -> dict[str, Any]:
    """Rows by network; those that were not asked for stay."""
    rows: dict[str, Any] = json.loads(args.out.read_text())["networks"] if args.out.exists() else {}
    for name in args.only:
        deployment = NETWORKS[name](args.models, args.samples)
        found = through_the_chain(deployment, checked=args.checked, in_lava=args.in_lava)
        rows[name] = {"name": deployment.name, **found, "machine": machine()}
        ordered = {each: rows[each] for each in NETWORKS if each in rows}
        atomic_write(args.out, (json.dumps({"networks": ordered}, indent=1) + "\n").encode())
        print(table({name: rows[name]}), flush=True)
    return rows


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row a network. Energies are ranges of an inference in real time: dynamic, then total with static power and processors."""
    counted = "synapses", "spikes", "synops"
    head = ("network", "metric", "floats", "integers", "simulators", *counted, "Loihi 1", "Loihi 2", "cores", "equal LSTM")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows.values():
        agree = f"equal on {row['simulators']['samples']}" if row["simulators"]["agree"] else "DIFFERENT"
        lava = f"Lava on {row['lava']['samples']}" if row["lava"]["identical"] else "Lava DIFFERENT"
        energies = [
            f"{joules(row['energy'][chip]['total']['lo'])} to {joules(row['energy'][chip]['total']['hi'])}" for chip in row["energy"]
        ]
        counts = [f"{row[each]:,.0f}" for each in counted]
        scores = [row["metric"], f"{row['float']:.4g}", f"{row['integer']:.4g}"]
        cells = [row["name"], *scores, f"{agree}, {lava}", *counts, *energies, str(row["cores"]), f"{row['equal_lstm']} units"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def between(energy: Mapping[str, float]) -> str:
    return f"{joules(energy['lo'])} to {joules(energy['hi'])}"


def smoke(folder: Path) -> Args:
    """Few samples of each."""
    return Args(samples=4, checked=2, in_lava=1, out=folder / "deployed.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few samples, results to a temporary folder")
    parser.add_argument("--only", nargs="+", choices=tuple(NETWORKS), default=list(NETWORKS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(replace(smoke(Path(temporary)) if given.smoke else Args(), only=tuple(given.only)))
