"""`neuromorph train` and `export` killed and interrupted for real: files are old or new, whole, and runs go on."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import kill_test
from neuromorph.dataset import Dataset
from neuromorph.graph import load
from neuromorph.tasks import digits
from neuromorph.train import TrainConfig, load_checkpoint, save_checkpoint, train
from neuromorph.train.history import HISTORY
from neuromorph.train.state import load_state

SIZES = {"n_excitatory": 8, "n_inhibitory": 2, "n_adaptive": 4}
RUNS = 4


def start(*args: object, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "neuromorph", *map(str, args)], stdout=subprocess.DEVNULL, stderr=stderr)


def wait_for_history(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the run has done a few updates."""
    path, deadline = folder / HISTORY, time.monotonic() + 120
    while not (path.exists() and path.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.stat().st_size


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
        save_checkpoint(path, train(TrainConfig.of(network=SIZES, training={"epochs": 1, "seed": seed}), small, progress=False).checkpoint)
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


def test_a_training_killed_three_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    found = kill_test.main(kill_test.Args(kills=3, kills_a_run=3, updates=300, longest=0.6, seed=1, out=tmp_path / "kills.json"))
    assert found["kills"] == 3
    assert found["identical"]


def test_interrupts_from_outside(tmp_path: Path) -> None:
    """One SIGINT ends a run with code 130 and its state saved; it goes on to the end. Output told the way."""
    config, folder = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(kill_test.CONFIG.format(updates=100_000, seed=0))
    process = start("train", config, "-o", folder, stderr=subprocess.PIPE)
    try:
        wait_for_history(process, folder)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"neuromorph train --resume {folder}" in told.decode()
    assert load_state(folder)["update"] > 0


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    """While the first is not obeyed (an update that takes minutes), the second ends the process by its signal."""
    script = (
        "import time, sys\n"
        "from pathlib import Path\n"
        "from neuromorph.train.interrupts import caught_signals\n"
        "with caught_signals(True):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(300)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT
    finally:
        process.kill()
