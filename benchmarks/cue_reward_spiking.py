"""Spiking networks that learn cue-reward: trained by gradient through their plasticity, then learning from the reward alone on simulators.

    python -m benchmarks.cue_reward_spiking

64 LIF neurons with retroactive plasticity on their recurrent synapses, 4 cues of 8 bits drawn anew in every episode, 8 trials, the reward
times the answer as third factor. Training: cross-entropy of the answers, which are sampled and fed back with their reward. Held against
it: a network trained alike (at a tenth of the rate) without plasticity, and the trained one with its third factor at 0. Deployed: the
exported graph in floats and in Loihi 2's integers in closed loop, one step at a time, the third factor computed from the reward earned.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine
from neuromorph.backends import backend
from neuromorph.backends.base import HasStepSessions
from neuromorph.backends.lava.backend import LavaBackend
from neuromorph.backends.lava.learning_rule import rules_of
from neuromorph.backends.lava.netlist import Learning
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, load, save
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.quantize_plastic import limit_eligibility
from neuromorph.share_alpha import share_alpha
from neuromorph.tasks.cue_reward import CueReward, bayes_ceiling
from neuromorph.tasks.cue_reward_spiking import OUTCOMES, Deployed, Respond, Trained, accuracy, play
from neuromorph.tasks.cue_reward_training import TASK, CueRewardTraining, network, train
from neuromorph.train.plastic_snn import PlasticSNN, PlasticSNNConfig
from neuromorph.train.plastic_snn_export import export_plastic

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Args:
    """`simulators`: which run the deployed graphs, with so many episodes each; `alphas`: sizes of alpha for Loihi's own rule."""

    seeds: int = 3
    updates: int = 2400
    batch: int = 32
    lr: float = 2e-2
    clip_norm: float = 2.0
    episodes: int = 2048
    simulators: tuple[tuple[str, int], ...] = (("reference", 512),)
    alphas: int = 3
    states: Path = Path("runs/cue_reward_spiking")
    models: Path = HERE / "models"
    out: Path = HERE / "results" / "cue_reward_spiking.json"


KINDS = {
    "plastic": (PlasticSNNConfig(), 1.0),
    "fixed": (PlasticSNNConfig(plastic=False), 0.1),
    "modulator": (PlasticSNNConfig(modulator=OUTCOMES), 0.25),
}
"""Networks, and shares of the learning rate at which they are trained."""


def trained(args: Args, kind: str, seed: int) -> tuple[PlasticSNN, list[dict[str, Any]]]:
    """The network after its updates, and its history; goes on where it was stopped."""
    name, (config, share) = f"{kind}-{seed}", KINDS[kind]
    model = network(config, seed)
    training = CueRewardTraining(args.updates, args.batch, args.lr * share, clip_norm=args.clip_norm)
    history = train(model, training, seed, args.states / name)
    print(name, history[-1], flush=True)
    return model, history


def greedy(respond_of: Callable[[int], AbstractContextManager[Respond]], episodes: int) -> list[float]:
    """Accuracy by trial over fresh episodes, the same for every contestant."""
    return accuracy(respond_of, TASK, episodes, batch=min(256, episodes), seed=77)


@contextmanager
def deployed(graph: Graph, name: str, size: int, *, learning: bool = True) -> Iterator[Respond]:
    simulator = backend(name)
    assert isinstance(simulator, HasStepSessions), f"{name} runs step by step"
    with simulator.step_session(graph, n_samples=size) as session:
        yield Deployed(graph, session, PlasticSNNConfig().steps, learning=learning)


def contestant(args: Args, seed: int) -> dict[str, Any]:
    """One seed: trained with and without plasticity; accuracies by trial of all that is compared."""
    (model, history), (control, control_history) = (trained(args, kind, seed) for kind in ("plastic", "fixed"))
    graph = export_plastic(model, {"task": "cue_reward", "training": json.dumps(asdict(model.config))})
    integer, report = quantize(graph, load_profile("loihi2"))
    args.models.mkdir(exist_ok=True)
    save(args.models / f"cue_reward_spiking_{seed}.h5", graph)
    found: dict[str, Any] = {
        "plastic": greedy(lambda n: nullcontext(Trained(model, n)), args.episodes),
        "third factor off": greedy(lambda n: nullcontext(Trained(model, n, learning=False)), args.episodes),
        "trained without plasticity": greedy(lambda n: nullcontext(Trained(control, n)), args.episodes),
    }
    for name, episodes in args.simulators:
        found[f"{name}, float"] = greedy(partial(deployed, graph, name), episodes)
        found[f"{name}, integers"] = greedy(partial(deployed, integer, name), episodes)
        found[f"{name}, integers, third factor off"] = greedy(partial(deployed, integer, name, learning=False), episodes)
    return {
        "seed": seed,
        "history": history,
        "control_history": control_history,
        "greedy": found,
        "plastic_report": [asdict(r) for r in report.plastic],
    }


def by_itself(args: Args, seed: int) -> dict[str, Any]:
    """A network with a modulator of its own: no third factor is given to it."""
    model, history = trained(args, "modulator", seed)
    graph = export_plastic(model, {"task": "cue_reward", "training": json.dumps(asdict(model.config))})
    integer, _ = quantize(graph, load_profile("loihi2"))
    save(args.models / f"cue_reward_modulator_{seed}.h5", graph)
    found = {"trained": greedy(lambda n: nullcontext(Trained(model, n)), args.episodes)}
    for name, episodes in args.simulators:
        found[f"{name}, float"] = greedy(partial(deployed, graph, name), episodes)
        found[f"{name}, integers"] = greedy(partial(deployed, integer, name), episodes)
    weights = model.w_mod.detach()[0].tolist()
    with torch.no_grad():
        model.w_mod.zero_()
    found["modulator silenced"] = greedy(lambda n: nullcontext(Trained(model, n)), args.episodes)
    return {"updates": args.updates, "history": history, "greedy": found, "weights": weights}


def add(args: Args, name: str, found_of: Callable[[int], dict[str, Any]]) -> None:
    """An entry of every seed in results that exist already."""
    found = json.loads(args.out.read_text())
    for seed in found["seeds"]:
        seed[name] = found_of(seed["seed"])
        print(seed["seed"], name, seed[name].get("greedy"), flush=True)
        atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())


def in_lava(args: Args, episodes: int) -> dict[str, Any]:
    """The trained networks in closed loop in Lava, episode by episode, beside the reference in the same ones: their integers by the exact
    rule; and by Loihi's own rule, with alphas shared and eligibilities bounded where 99 % of them are.
    """
    found = json.loads(args.out.read_text())
    for seed in found["seeds"]:
        graph = load(args.models / f"cue_reward_spiking_{seed['seed']}.h5")
        integer, _ = quantize(graph, load_profile("loihi2"))
        seed["lava"] = beside(integer, "exact", episodes)
        print(seed["seed"], "exact", seed["lava"], flush=True)
        shared, (report,) = share_alpha(graph, args.alphas)
        integer, _ = quantize(shared, load_profile("loihi2"))
        bounded = limit_eligibility(integer, eligibilities(integer))
        seed["lava, Loihi's rule"] = {
            "alphas": report.alphas,
            "alpha_error": report.error,
            "rules": {name: str(rule).splitlines() for name, rule in rules_of(bounded).items()},
            **beside(bounded, "stock", episodes),
        }
        print(seed["seed"], "stock", seed["lava, Loihi's rule"], flush=True)
        atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())
    return found


def beside(integer: Graph, learning: Learning, episodes: int) -> dict[str, Any]:
    """Greedy answers in Lava and on the reference, which always has the exact rule, in the same episodes."""
    right, start = dict[str, torch.Tensor](), 0.0
    for name, simulator in (("reference", ReferenceBackend()), ("lava", LavaBackend(learning=learning))):
        generator, start = torch.Generator().manual_seed(99), time.perf_counter()
        with torch.no_grad(), simulator.step_session(integer, n_samples=1) as session:
            agent = partial(Deployed, integer, session, PlasticSNNConfig().steps)
            played = [play(agent(), CueReward(TASK, 1, generator), generator, greedy=True).right for _ in range(episodes)]
        right[name] = torch.cat(played, 1)
    return {
        "episodes": episodes,
        "accuracy": {name: answers.float().mean(1).tolist() for name, answers in right.items()},
        "answers_equal": float((right["reference"] == right["lava"]).float().mean()),
        "wall_s": time.perf_counter() - start,
    }


def eligibilities(integer: Graph, episodes: int = 64) -> dict[str, np.ndarray]:
    """E of the plastic projections at the end of each step of the environment, in episodes of their own, on the reference."""
    seen: dict[str, list[np.ndarray]] = {q.name: [] for q in integer.plastic}
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad(), ReferenceBackend().step_session(integer, n_samples=episodes) as session:
        agent = Deployed(integer, session, PlasticSNNConfig().steps)

        def watched(spikes: torch.Tensor, third: torch.Tensor) -> torch.Tensor:
            answer = agent(spikes, third)
            for name, kept in seen.items():
                kept.append(session.plastic(name)["E"].ravel())
            return answer

        play(watched, CueReward(TASK, episodes, generator), generator, greedy=True)
    return {name: np.concatenate(kept) for name, kept in seen.items()}


def main(args: Args) -> dict[str, Any]:
    found: dict[str, Any] = {"args": {k: v.name if isinstance(v, Path) else v for k, v in asdict(args).items()}, "machine": machine()}
    found["bayes"], found["seeds"] = bayes_ceiling(TASK.cues, 8), []
    for seed in range(args.seeds):
        found["seeds"].append(contestant(args, seed))
        atomic_write(args.out, (json.dumps(found, indent=1) + "\n").encode())
    plot(found, args.out.with_suffix(".png"))
    return found


def plot(found: dict[str, Any], path: Path) -> None:
    """Accuracy by trial: median and range over seeds, and the ceiling."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    trials = range(1, len(found["bayes"]) + 1)
    ax.plot(trials, found["bayes"], color="black", linestyle="--", label="best possible")
    for colour, name in zip(plt.rcParams["axes.prop_cycle"].by_key()["color"], found["seeds"][0]["greedy"]):
        curves = torch.tensor([seed["greedy"][name] for seed in found["seeds"]])
        ax.plot(trials, curves.median(0).values, color=colour, label=name)
        ax.fill_between(trials, curves.amin(0), curves.amax(0), color=colour, alpha=0.15, linewidth=0)
    ax.set_xlabel("trial of the episode")
    ax.set_ylabel("share of right answers (greedy)")
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--lava", type=int, metavar="EPISODES", help="play so many in Lava too, with the networks of a run that is done")
    parser.add_argument("--out", type=Path, default=Args.out)
    parser.add_argument(
        "--modulator", type=int, metavar="UPDATES", help="train networks with modulators of their own, for results that exist"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if given.modulator:
        chosen = Args(updates=given.modulator, out=given.out)
        add(chosen, "modulator", partial(by_itself, chosen))
    elif given.lava:
        in_lava(Args(out=given.out), given.lava)
    elif given.smoke:
        folder = given.out.parent
        main(Args(1, 2, 4, episodes=8, simulators=(("reference", 4),), states=folder / "states", models=folder / "models", out=given.out))
    else:
        main(Args(out=given.out))
