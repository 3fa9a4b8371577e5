"""A spiking network that learns on chip: trained by gradient through its plasticity, then learning from reward alone, in closed loop."""

import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from neuromorph.backends import backend
from neuromorph.backends.base import HasStepSessions, StepSession
from neuromorph.backends.watched import Lived, Watched, joined
from neuromorph.counts import Counts, count
from neuromorph.demo import Say, write_json
from neuromorph.energy import estimate
from neuromorph.errors import BackendError, EnergyUnavailable, MappingError, ProfileError, TrainingError
from neuromorph.files import atomic_write
from neuromorph.graph import Graph, save
from neuromorph.hardware import load_profile
from neuromorph.mapping import check, load_on
from neuromorph.quantize import quantize
from neuromorph.recording import save_recording
from neuromorph.spikes import save_spikes
from neuromorph.tasks.cue_reward import CueReward, bayes_ceiling
from neuromorph.tasks.cue_reward_spiking import Deployed, Played, Respond, Trained, accuracy, play
from neuromorph.tasks.cue_reward_training import TASK, CueRewardTraining, network, train
from neuromorph.train.plastic_snn import PlasticSNN, PlasticSNNConfig
from neuromorph.train.plastic_snn_export import export_plastic
from neuromorph.versions import versions

BATCH = 64  # episodes side by side
EVALUATION, ALONE = 77, 1000  # seeds of the episodes of the comparison, and of the first that is played alone
CURVES = ("trained network", "trained network, third factor off", "integers", "integers, third factor off")

Bar: TypeAlias = Callable[[], AbstractContextManager[Callable[[int, int], None] | None]]
"""Opens what is told of (updates done, updates in all)."""


@dataclass(frozen=True)
class PlasticDemoArgs:
    """What the demo does. `episodes` are played by every contestant, `lava_episodes` in Lava and in the reference alike; `profile`: the
    chip whose integers are used.
    """

    out: Path = Path("runs/demo_plastic")
    updates: int = 1000
    seed: int = 0
    profile: str = "loihi2"
    episodes: int = 512
    lava_episodes: int = 4
    energy_profiles: tuple[str, ...] = ("loihi1", "loihi2")


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode played alone."""

    env: CueReward
    played: Played
    lived: Lived


class Clock:
    """Wall and CPU seconds of each stage by name, those of ended child processes included."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self.say(stage)
        wall, cpu = time.perf_counter(), sum(os.times()[:4])
        yield
        self.seconds[stage] = round(time.perf_counter() - wall, 2)
        self.cpu_seconds[stage] = round(sum(os.times()[:4]) - cpu, 2)

    def told(self) -> dict[str, dict[str, float]]:
        pairs = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        return {kind: by_stage | {"total": round(sum(by_stage.values()), 2)} for kind, by_stage in pairs.items()}


def demo_plastic(args: PlasticDemoArgs, *, say: Say = print, bar: Bar = nullcontext) -> dict[str, Any]:
    """Train, export, quantise, learn in closed loop, hold Lava against the reference, count, estimate; gives what `summary.json` holds.

    The folder then has: training/ (to go on from), model.h5 and model.<chip>.h5, quantization.json, history.json, episode_inputs.h5,
    episode_third.npz and episode.h5 (one episode of the integers: spikes and third factors given; what the reference did, with H and E),
    summary.json.

    Raises:
        TrainingError: the folder holds a training with other arguments, or one that is further.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    clock = Clock(say)
    with clock("train"):
        model, history = trained(args, bar)
        write_json(args.out / "history.json", history)
    with clock("export, quantize, check"):
        integer, results = exported(args, model, history[-1]["update"])
    with clock("learn in closed loop"):
        results["accuracy"], lived = compared(args, model, integer)
    with clock("Lava against the reference"):
        episodes = alone(integer, "reference", max(args.lava_episodes, 1))
        results["lava"] = in_lava(integer, episodes, args.lava_episodes)
    with clock("one episode, counts, energy"):
        results["episode"] = one_episode(args.out, integer, episodes)
        counts = count(integer, lived.inputs, lived.recording)
        results |= {"counts": counts.to_dict()} | energies(args.energy_profiles, counts, integer, lived)
    results["training"] = asdict(_training(args)) | {"cpu_s": history[-1]["cpu_s"]}
    about = {"demo": "plastic", "args": asdict(args), "versions": versions()}
    summary = json.loads(json.dumps(about | results | clock.told(), default=_plain))
    write_json(args.out / "summary.json", summary)
    return summary


def exported(args: PlasticDemoArgs, model: PlasticSNN, updates: int) -> tuple[Graph, dict[str, Any]]:
    """The integers of a trained network for the chip, and what quantising and the check told; the graphs lie in the folder."""
    told = {"task": "cue_reward", "training": json.dumps(asdict(model.config)), "updates": str(updates)}
    graph, chip = export_plastic(model, told), load_profile(args.profile)
    integer, report = quantize(graph, chip)
    save(args.out / "model.h5", graph)
    save(args.out / f"model.{chip.id}.h5", integer)
    write_json(args.out / "quantization.json", report.to_dict())
    return integer, {"profile": chip.id, "quantization": report.to_dict(), "check": check(integer, chip).to_dict()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value.tolist()


def trained(args: PlasticDemoArgs, bar: Bar) -> tuple[PlasticSNN, list[dict[str, Any]]]:
    """The network after its updates, and the history; a training that was stopped goes on.

    Raises:
        TrainingError: the folder holds a training with other arguments, or one that is further.
    """
    folder, training = args.out / "training", _training(args)
    model = network(PlasticSNNConfig(), args.seed)
    wanted = {"seed": args.seed, "batch": training.batch, "lr": training.lr, "clip_norm": training.clip_norm} | asdict(model.config)
    if (folder / "args.json").is_file() and (folder / "args.json").read_bytes() != _packed(wanted):
        raise TrainingError(f"{folder} holds a training with other arguments than --seed {args.seed}; give another folder (--out).")
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "args.json", _packed(wanted))
    with bar() as tell, _one_thread():
        history = train(model, training, args.seed, folder, progress=tell or False)
    if history[-1]["update"] != args.updates:
        done = history[-1]["update"]
        raise TrainingError(f"{folder} holds {done:,} updates, {args.updates:,} are asked for; ask for as many, or give another folder.")
    return model, history


def _training(args: PlasticDemoArgs) -> CueRewardTraining:
    return CueRewardTraining(args.updates, record_every=max(1, min(50, args.updates // 4)))


def _packed(data: Any) -> bytes:
    return json.dumps(data, indent=2).encode()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices this small are faster on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compared(args: PlasticDemoArgs, model: PlasticSNN, integer: Graph) -> tuple[dict[str, Any], Lived]:
    """Accuracy by trial over the same fresh episodes, with and without third factor, and what passed through the learning integers."""
    name = "fast" if isinstance(backend("fast"), HasStepSessions) else "reference"
    parts, curves = list[Lived](), dict[str, list[float]]()
    for curve in CURVES:
        learning = not curve.endswith("off")
        if curve.startswith("trained"):
            curves[curve] = greedy(args.episodes, lambda n, on=learning: nullcontext(Trained(model, n, learning=on)))
        else:
            kept = parts if learning else []
            curves[curve] = greedy(args.episodes, lambda n, on=learning, kept=kept: _deployed(integer, name, n, on, kept))
    ceiling = bayes_ceiling(TASK.cues, TASK.most_trials)
    return {"episodes": args.episodes, "simulator": name, "ceiling": ceiling, "curves": curves}, joined(parts)


def greedy(episodes: int, respond_of: Callable[[int], AbstractContextManager[Respond]]) -> list[float]:
    """Share of right answers by trial; `respond_of`: from a number of episodes side by side to who answers in them."""
    with _one_thread():
        return accuracy(respond_of, TASK, episodes, batch=BATCH, seed=EVALUATION)


@contextmanager
def _deployed(graph: Graph, name: str, size: int, learning: bool, kept: list[Lived]) -> Iterator[Respond]:
    with _session(graph, name, size) as session:
        watched = Watched(session, graph, name)
        yield Deployed(graph, watched, PlasticSNNConfig().steps, learning=learning)
        kept.append(watched.lived())


def _session(graph: Graph, name: str, size: int) -> StepSession:
    simulator = backend(name)
    if not isinstance(simulator, HasStepSessions):
        raise BackendError(f"Backend {name!r} does not run step by step.")
    return simulator.step_session(graph, n_samples=size)


def alone(graph: Graph, name: str, episodes: int) -> list[Episode]:
    """Episodes one after the other on one session, with H and E at every step."""
    found = list[Episode]()
    with _session(graph, name, 1) as session, torch.no_grad():
        for number in range(episodes):
            generator = torch.Generator().manual_seed(ALONE + number)
            env, watched = CueReward(TASK, 1, generator), Watched(session, graph, name, synapses=True)
            played = play(Deployed(graph, watched, PlasticSNNConfig().steps), env, generator, greedy=True)
            found.append(Episode(env, played, watched.lived()))
    return found


def in_lava(graph: Graph, reference: Sequence[Episode], episodes: int) -> dict[str, Any]:
    """The same episodes in closed loop in Lava, each held against the reference's; or why not."""
    reason = backend("lava").available() if episodes else "no episodes in Lava were asked for (--lava-episodes 0)"
    if reason:
        return {"skipped": reason, "agrees": None, "episodes": []}
    rows = [held_against(number, x, y) for number, (x, y) in enumerate(zip(alone(graph, "lava", episodes), reference))]
    return {"skipped": None, "agrees": all(kind["differing"] == 0 for row in rows for kind in row["kinds"].values()), "episodes": rows}


def held_against(number: int, x: Episode, y: Episode) -> dict[str, Any]:
    """Two closed loops of one episode, bit for bit: how many values were compared of each kind, how many differ, and which is first."""
    kinds, earliest = {"answers": _tally(_answers(x) != _answers(y))}, list[tuple[int, str]]()
    for kind, name, a, b in _values(x, y):
        wrong, so_far = a != b, kinds.get(kind, {"compared": 0, "differing": 0})
        kinds[kind] = {what: n + so_far[what] for what, n in _tally(wrong).items()}
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            where = f"step {place[0]}, {kind} of {name}[{place[-1]}]"
            earliest.append((place[0], f"{where}: {float(a[place]):g} against {float(b[place]):g}"))
    return {
        "episode": number,
        "answers": y.played.right.numel(),
        "right": int(x.played.right.sum()),
        "spikes": sum(len(s) for s in x.lived.recording.spikes.values()),
        "kinds": kinds,
        "first": min(earliest)[1] if earliest else None,
    }


def _tally(wrong: np.ndarray) -> dict[str, int]:
    return {"compared": wrong.size, "differing": int(wrong.sum())}


def _values(x: Episode, y: Episode) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """(kind, name, values in x, values in y), steps first."""
    a, b = x.lived, y.lived
    for name in b.inputs:
        yield "inputs", name, a.inputs[name].to_dense(), b.inputs[name].to_dense()
    for name in b.third:
        yield "third factors", name, a.third[name], b.third[name]
    for name in b.recording.spikes:
        yield "spikes", name, a.recording.spikes[name].to_dense(), b.recording.spikes[name].to_dense()
    for name in b.recording.readouts:
        yield "readouts", name, a.recording.readouts[name], b.recording.readouts[name]
    for name, states in b.recording.states.items():
        yield from ((each, name, a.recording.states[name][each], trace) for each, trace in states.items())


def _answers(episode: Episode) -> np.ndarray:
    """Whether it said yes, trial by trial [trials]."""
    return (episode.played.right == episode.played.labels)[:, 0].numpy()


def one_episode(folder: Path, graph: Graph, episodes: Sequence[Episode]) -> dict[str, Any]:
    """The first episode that ends with four right answers (else the first), run anew by the reference on what it was given; its files, and
    what happened when.
    """
    number = next((k for k, each in enumerate(episodes) if bool(each.played.right[-4:].all())), 0)
    chosen = episodes[number]
    (plastic,) = (q.name for q in graph.plastic)
    inputs, third = chosen.lived.inputs, chosen.lived.third
    recording = backend("reference").run(graph, inputs, states=[plastic], third_factors=third)
    save_spikes(folder / "episode_inputs.h5", inputs)
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **third)
    atomic_write(folder / "episode_third.npz", packed.getvalue())
    save_recording(folder / "episode.h5", recording)
    live, again = chosen.lived.recording.states[plastic], recording.states[plastic]
    return {
        "number": number,
        "of": len(episodes),
        "projection": plastic,
        "target": "ABCD"[int(chosen.env.script.target[0])],
        "same_again": all(np.array_equal(live[x], again[x]) for x in ("H", "E")) and recording.spikes == chosen.lived.recording.spikes,
        "saturations": dict(recording.saturations),
        "trials": list(_trials(chosen)),
    }


def _trials(episode: Episode) -> Iterator[dict[str, Any]]:
    """Cues in the order in which they were shown, answer and reward of each trial, and the steps at which each began."""
    script, steps, answers = episode.env.script, PlasticSNNConfig().steps, _answers(episode)
    target = int(script.target[0])
    for trial, go in enumerate(np.flatnonzero(script.go[:, 0].numpy()).tolist()):
        pair = [int(c) for c in script.pair[trial, 0]]
        right = bool(episode.played.right[trial, 0])
        yield {
            "cues": ["ABCD"[c] for c in pair],
            "holds_target": target in pair,
            "answer": bool(answers[trial]),
            "right": right,
            "logit": float(episode.played.logits[trial, 0]),
            "cue_steps": [steps * (go - 2 + k) for k in range(2)],
            "go_step": steps * go,
            "reward_step": steps * (go + 1),
        }


def energies(profiles: Sequence[str], counts: Counts, graph: Graph, lived: Lived) -> dict[str, Any]:
    """Energy of the mean episode on each chip, learning on a line of its own, and what the map asks of it; why others were refused or not
    mapped.
    """
    mean = {name: spikes.counts().mean(0) for name, spikes in {**lived.inputs, **lived.recording.spikes}.items()}
    reports, loads = list[dict[str, Any]](), dict[str, Any]()
    refused, unmapped = dict[str, str](), dict[str, str]()
    for name in profiles:
        profile, load = load_profile(name), None
        try:
            load = load_on(graph, profile, mean)
            loads[profile.id] = asdict(load)
        except (MappingError, ProfileError) as reason:
            unmapped[profile.id] = str(reason)
        try:
            reports.append(estimate(counts, graph, profile, load=load, what_if=True).to_dict())
        except EnergyUnavailable as reason:
            refused[profile.id] = str(reason)
    return {"energy": reports, "energy_loads": loads, "energy_refused": refused, "energy_unmapped": unmapped}
