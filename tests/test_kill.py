"""`neuromorph train` and `export` killed for real: the old file or the new one is there, whole."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuromorph.dataset import Dataset
from neuromorph.graph import load
from neuromorph.tasks import digits
from neuromorph.train import TrainArgs, load_checkpoint, train

SIZES = {"n_excitatory": 8, "n_inhibitory": 2, "n_adaptive": 4}
RUNS = 4


def start(*args: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "neuromorph", *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """SIGKILL after some seconds; whether it was still running."""
    time.sleep(seconds)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


@pytest.fixture(scope="module")
def small() -> Dataset:
    data = digits.load()
    return Dataset(data.name, data.n_classes, data.train.head(32), data.validation.head(16), data.test.head(16), data.about)


def test_a_killed_export_leaves_the_old_graph_or_the_new_one(small: Dataset, tmp_path: Path) -> None:
    graphs = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.safetensors"
        train(TrainArgs(epochs=1, seed=seed, **SIZES), small, path=path, progress=False)
        graphs.append(load_checkpoint(path).graph())
    target = tmp_path / "model.h5"
    begun = time.monotonic()
    assert start("export", tmp_path / "1.safetensors", target).wait() == 0
    usual = time.monotonic() - begun
    rng = random.Random(0)
    for turn in range(RUNS):
        process = start("export", tmp_path / f"{1 + turn % 2}.safetensors", target)
        kill_after(process, usual * rng.uniform(0.5, 1.1))
        assert load(target) in graphs


def test_a_killed_training_leaves_a_readable_checkpoint(tmp_path: Path) -> None:
    """Epochs write while the kill comes; every checkpoint that is there can be read, exported, and has every synapse."""
    rng = random.Random(1)
    path = tmp_path / "checkpoint.safetensors"
    killed = 0
    for _ in range(2):
        process = start("train", "-o", tmp_path, "--epochs", 500)
        deadline = time.monotonic() + 60
        before = path.stat().st_mtime_ns if path.exists() else None
        while (path.stat().st_mtime_ns if path.exists() else None) == before and time.monotonic() < deadline:
            time.sleep(0.05)
        killed += kill_after(process, rng.uniform(0, 1))
        checkpoint = load_checkpoint(path)
        assert checkpoint.graph().n_synapses == sum(int(mask.sum()) for mask in checkpoint.masks.values())
    assert killed == 2
