"""`neuromorph train` and `export` killed and interrupted for real: files are old or new, whole, and runs go on."""

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from benchmarks import kill_test
from neuromorph.dataset import Dataset
from neuromorph.graph import load
from neuromorph.tasks import digits
from neuromorph.train import TrainConfig, load_checkpoint, save_checkpoint, train
from neuromorph.train.history import HISTORY
from neuromorph.train.interrupts import caught_signals
from neuromorph.train.state import load_state

SIZES = {"n_excitatory": 8, "n_inhibitory": 2, "n_adaptive": 4}
RUNS = 4


def wait_for_history(process: BaseProcess, folder: Path) -> None:
    """Until the run has done a few updates."""
    path, deadline = folder / HISTORY, time.monotonic() + 120
    while not (path.exists() and path.stat().st_size) and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.stat().st_size


@pytest.fixture(scope="module")
def small() -> Dataset:
    data = digits.load()
    return Dataset(data.name, data.n_classes, data.train.head(32), data.validation.head(16), data.test.head(16), data.about)


def test_a_killed_export_leaves_the_old_graph_or_the_new_one(small: Dataset, tmp_path: Path) -> None:
    graphs = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.safetensors"
        save_checkpoint(path, train(TrainConfig.of(network=SIZES, training={"updates": 1, "seed": seed}), small, progress=False).checkpoint)
        graphs.append(load_checkpoint(path).graph())
    target = tmp_path / "model.h5"
    begun = time.monotonic()
    kill_test.complete("export", tmp_path / "1.safetensors", target)
    usual = time.monotonic() - begun
    rng = random.Random(0)
    for turn in range(RUNS):
        process = kill_test.start("export", tmp_path / f"{1 + turn % 2}.safetensors", target)
        time.sleep(usual * rng.uniform(0.3, 1.1))
        kill_test.kill(process)
        assert load(target) in graphs


def test_a_training_killed_twice_ends_with_the_same_bits(tmp_path: Path) -> None:
    found = kill_test.main(kill_test.Args(kills=2, kills_a_run=2, updates=60, lines=5, longest=0.05, seed=1, out=tmp_path / "kills.json"))
    assert found["kills"] == 2
    assert found["identical"]


def test_interrupts_from_outside(tmp_path: Path) -> None:
    """One SIGINT ends a run with code 130 and its state saved; it goes on to the end. Output told the way."""
    config, folder = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(kill_test.CONFIG.format(updates=100_000, seed=0))
    process = kill_test.start("train", config, "-o", folder, told=tmp_path / "told.txt")
    try:
        wait_for_history(process, folder)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(timeout=60)
    finally:
        process.kill()
    assert process.exitcode == 130
    assert f"neuromorph train --resume {folder}" in (tmp_path / "told.txt").read_text()
    assert load_state(folder)["update"] > 0


def sleep(ready: Connection) -> None:
    """An update that takes minutes."""
    with caught_signals(True):
        ready.send(True)
        for _ in range(3000):
            time.sleep(0.1)


def test_a_second_interrupt_ends_at_once() -> None:
    """While the first is not obeyed, the second ends the process by its signal."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=sleep, args=(there,), daemon=True)
    process.start()
    try:
        assert here.recv()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(timeout=0.5)
        assert process.is_alive()
        os.kill(process.pid, signal.SIGINT)
        process.join(timeout=30)
        assert process.exitcode == -signal.SIGINT
    finally:
        process.kill()
