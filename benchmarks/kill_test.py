"""A run that is killed again and again (SIGKILL, at random times) ends with the same bits as one that nothing stopped.

Small digits networks are trained by `neuromorph train`, killed, resumed by `neuromorph train --resume`, until they are
done: `python -m benchmarks.kill_test` writes benchmarks/results/kill_test.json. Each program is a process of its own,
forked from this one, which has loaded torch once and for all (and has done nothing else, so that it has no threads).
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import sklearn.datasets  # noqa: F401  (this and the next take seconds and would else be loaded by each program)
import torch._dynamo  # noqa: F401

from benchmarks.machine import machine
from neuromorph.cli import main as neuromorph
from neuromorph.files import atomic_write
from neuromorph.train.history import HISTORY
from neuromorph.train.loop import BEST
from neuromorph.train.state import FORMAT, STATE, has_state, load_state

RESULTS = Path(__file__).parent / "results" / "kill_test.json"
CONFIG = """
[task]
train = 64
validation = 32
test = 32
[task.encoding]
n_thresholds = 2
[network]
n_excitatory = 12
n_inhibitory = 4
n_adaptive = 8
[deep_r]
connectivity = 0.5
temperature = 1e-7
[training]
updates = {updates}
batch = 16
evaluate_every = 10
log_every = 3
checkpoint_every = 7
seed = {seed}
"""


@dataclass(frozen=True)
class Args:
    """`kills` in all; a run that is done before its `kills_a_run` is followed by one with the next seed.

    Each kill comes up to `longest` seconds after up to `lines` new lines of history (one in 3 updates), both drawn anew.
    """

    kills: int = 20
    kills_a_run: int = 10
    updates: int = 400
    lines: int = 30
    longest: float = 0.2
    seed: int = 0
    out: Path = RESULTS


def program(arguments: Sequence[str], told: str) -> None:
    """`neuromorph` with these arguments; what it tells people goes to the file `told`."""
    sys.argv = ["neuromorph", *arguments, "--json"]
    with open(os.devnull, "w") as nowhere, open(told, "w") as messages, redirect_stdout(nowhere), redirect_stderr(messages):
        neuromorph()


def start(*arguments: object, told: str | os.PathLike[str] = os.devnull) -> BaseProcess:
    """`program` in a process of its own, which ends with this one at the latest."""
    process = multiprocessing.get_context("fork").Process(target=program, args=([str(each) for each in arguments], str(told)), daemon=True)
    process.start()
    return process


def complete(*arguments: object) -> None:
    """Let `neuromorph` run to its end.

    Raises:
        RuntimeError: its exit code is not 0.
    """
    process = start(*arguments)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"neuromorph {arguments} ended with {process.exitcode}")


def kill(process: BaseProcess) -> bool:
    """SIGKILL; whether it was still running."""
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def kill_at_work(folder: Path, lines: int, seconds: float, *arguments: object) -> bool:
    """Start a training and kill it some seconds after so many new lines of history; whether it was still running."""
    before = history_time(folder)
    process = start(*arguments)
    for _ in range(1 + lines):  # the first change is that it is rewound
        while (now := history_time(folder)) == before and process.is_alive():
            time.sleep(0.005)
        before = now
    time.sleep(seconds)
    return kill(process)


def history_time(folder: Path) -> int:
    """When the history was last written, which a run does first of all; 0: never."""
    path = folder / HISTORY
    return path.stat().st_mtime_ns if path.exists() else 0


def outcome(folder: Path) -> dict[str, Any]:
    """Everything that two equal runs share: files byte for byte, and the state but for wall time."""
    content, tensors = FORMAT.read(folder / STATE)
    values = [entry for entry in content["state"]["dict"] if entry[0] != "seconds"]
    bits = {name: (str(t.dtype), tuple(t.shape), t.flatten().numpy().tobytes()) for name, t in tensors.items()}
    return {"state": values, "tensors": bits} | {name: (folder / name).read_bytes() for name in (BEST, HISTORY)}


def one(folder: Path, kills: int, seed: int, args: Args, rng: random.Random) -> dict[str, Any]:
    """Train whole, train with kills, compare. `saved_updates`: what was saved when each kill came."""
    config, whole, killed = folder / "tiny.toml", folder / "whole", folder / "killed"
    config.write_text(CONFIG.format(updates=args.updates, seed=seed))
    complete("train", config, "-o", whole)
    updates: list[int] = []
    command: tuple[object, ...] = ("train", config, "-o", killed)
    while len(updates) < kills and kill_at_work(killed, rng.randint(1, args.lines), rng.uniform(0, args.longest), *command):
        if has_state(killed):
            command = ("train", "--resume", killed)
        updates.append(load_state(killed)["update"] if has_state(killed) else 0)
    complete(*command)
    return {"seed": seed, "kills": len(updates), "saved_updates": updates, "identical": outcome(killed) == outcome(whole)}


def main(args: Args) -> dict[str, Any]:
    """Runs until there were enough kills."""
    rng = random.Random(args.seed)
    runs: list[dict[str, Any]] = []
    while (left := args.kills - sum(run["kills"] for run in runs)) > 0:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(one(Path(folder), min(left, args.kills_a_run), len(runs), args, rng))
        print(runs[-1], flush=True)
    result = {
        "args": {name: value for name, value in asdict(args).items() if name != "out"},
        "kills": sum(run["kills"] for run in runs),
        "identical": all(run["identical"] for run in runs),
        "runs": runs,
        "machine": machine(),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(args.out, (json.dumps(result, indent=1) + "\n").encode())
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two kills, result to a temporary folder")
    if parser.parse_args().smoke:
        with tempfile.TemporaryDirectory() as scratch:
            found = main(Args(kills=2, updates=100, lines=10, out=Path(scratch) / "kills.json"))
    else:
        found = main(Args())
    sys.exit(0 if found["identical"] else 1)
