"""A run that is killed again and again (SIGKILL, at random times) ends with the same bits as one that nothing stopped.

Small digits networks are trained by `neuromorph train`, killed, resumed by `neuromorph train --resume`, until they are
done: `python -m benchmarks.kill_test` writes benchmarks/results/kill_test.json.
"""

import argparse
import json
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuromorph.files import atomic_write
from neuromorph.train.history import HISTORY
from neuromorph.train.loop import BEST
from neuromorph.train.state import FORMAT, STATE, load_state

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
    """`kills` in all; a run that is done before its `kills_a_run` is followed by one with the next seed."""

    kills: int = 20
    kills_a_run: int = 5
    updates: int = 800
    longest: float = 1.5
    seed: int = 0
    out: Path = RESULTS


def program(*args: object) -> list[str]:
    return [sys.executable, "-m", "neuromorph", "train", *map(str, args), "--json"]


def complete(*args: object) -> None:
    subprocess.run(program(*args), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def running(*args: object) -> Iterator[subprocess.Popen[bytes]]:
    """A training that is ended with this block at the latest."""
    process = subprocess.Popen(program(*args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill_at_work(folder: Path, seconds: float, *args: object) -> bool:
    """Start a training, SIGKILL it some seconds after its first new line of history; whether it was still running."""
    before = history_time(folder)
    with running(*args) as process:
        for _ in ("rewound", "first line"):
            while (now := history_time(folder)) == before and process.poll() is None:
                time.sleep(0.005)
            before = now
        time.sleep(seconds)
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
    return alive


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
    """Train whole, train with kills, compare. `updates`: how far the run was when each kill found it."""
    config, whole, killed = folder / "tiny.toml", folder / "whole", folder / "killed"
    config.write_text(CONFIG.format(updates=args.updates, seed=seed))
    complete(config, "-o", whole)
    updates: list[int] = []
    command: tuple[object, ...] = (config, "-o", killed)
    while len(updates) < kills and kill_at_work(killed, rng.uniform(0, args.longest), *command):
        updates.append(load_state(killed)["update"] if (killed / STATE).exists() else 0)
        command = ("--resume", killed) if (killed / STATE).exists() else command
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
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {
        "args": {name: value for name, value in asdict(args).items() if name != "out"},
        "kills": sum(run["kills"] for run in runs),
        "identical": all(run["identical"] for run in runs),
        "runs": runs,
        "commit": commit,
        "machine": f"{platform.machine()}, {platform.system()}",
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(args.out, (json.dumps(result, indent=1) + "\n").encode())
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two kills, result to a temporary folder")
    if parser.parse_args().smoke:
        with tempfile.TemporaryDirectory() as scratch:
            found = main(Args(kills=2, updates=200, longest=0.5, out=Path(scratch) / "kills.json"))
    else:
        found = main(Args())
    sys.exit(0 if found["identical"] else 1)
