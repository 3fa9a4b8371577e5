"""Two processes that train together do what one does: the same updates in float64 to 1e-12, the same active synapses."""

import contextlib
import io
import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuromorph.cli import main
from neuromorph.errors import TrainingError
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.tasks.choose import load_task
from neuromorph.train import TrainConfig, TrainingInterrupted, load_checkpoint, resume, train
from neuromorph.train.distributed import Ranks, Share, joined, mean_over, sum_gradients
from neuromorph.train.history import HISTORY
from neuromorph.train.loop import BEST
from neuromorph.train.run import Run
from neuromorph.train.settings import build, to_toml
from neuromorph.train.state import load_state

TINY = TrainConfig.of(
    task={"encoding": {"n_thresholds": 2, "cue_steps": 3}, "train": 33, "validation": 15, "test": 1},
    network={"n_excitatory": 6, "n_inhibitory": 2, "n_adaptive": 4, "learned": ["tau_m", "tau_a"]},
    deep_r={"connectivity": 0.5, "temperature": 1e-7},
    optimizer={"warm_up": 2},
    regularisation={"voltage_weight": 0.1},
    training={"epochs": 4, "batch": 16, "window": 3, "evaluate_every": 5, "log_every": 2, "digest_every": 2, "dtype": "float64"},
)
"""The last of the three batches of an epoch has one sample, the test part too: less than one for each of two ranks."""
AWARE = build(TrainConfig, {"quantization": {"profile": "loihi2", "start_epoch": 1, "grid_every": 4}}, "test", start=TINY)
"""Trained for a chip: the first epoch in floats, then in its numbers."""
UPDATES = 12
CLOSE = 1e-12


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """What an error says, and what is printed, goes to a file; exit codes too."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            yield
        except (TrainingError, SystemExit) as error:
            errors.write(f"{type(error).__name__}: {error}")
    path.write_text(json.dumps([out.getvalue(), errors.getvalue()]))


@contextlib.contextmanager
def signalled(update: int | None) -> Iterator[None]:
    """A signal comes to this process while that update is at work."""
    honest = Run.step

    def step(self: Run) -> None:
        honest(self)
        if self.update == update:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "step", step)
        yield


def work(rank: int, ports: tuple[int, int], folder: Path) -> None:
    """One of two ranks: everything that the tests below look at, in one process since starting one takes seconds."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(ports[0]))
    torch.set_num_threads(1)
    data = load_task(TINY.task)
    with joined() as ranks:
        assert ranks == Ranks(rank, 2)
        train(TINY, data, folder=folder / "two", progress=False, ranks=ranks)
        train(AWARE, data, folder=folder / "aware_two", progress=False, ranks=ranks)
        with told(folder / f"stopped_{rank}.json"), signalled(7 if rank else None):
            train(TINY, data, folder=folder / "stopped", progress=False, ranks=ranks)
        resume(folder / "from_one", data, progress=False, ranks=ranks)
        with told(folder / f"planted_{rank}.json"):
            plant(Run(TINY, data, ranks))
    os.environ["MASTER_PORT"] = str(ports[1])
    with told(folder / f"program_{rank}.json"):
        sys.argv = ["neuromorph", "train", str(folder / "tiny.toml"), "-o", str(folder / "program"), "--epochs", "1", "--json"]
        main()


def plant(run: Run) -> None:
    """On rank 1 a synapse is lost after update 3."""
    for _ in range(UPDATES):
        run.step()
        if run.ranks.rank == 1 and run.update == 3:
            w = run.model.weights()["input"].data
            w[tuple(w.nonzero()[0])] = 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process left in "one", two together elsewhere; "from_one" and "stopped" were begun by the others."""
    folder, data = tmp_path_factory.mktemp("runs"), load_task(TINY.task)
    train(TINY, data, folder=folder / "one", progress=False)
    train(AWARE, data, folder=folder / "aware_one", progress=False)
    with signalled(5), pytest.raises(TrainingInterrupted):
        train(TINY, data, folder=folder / "from_one", progress=False)
    (folder / "tiny.toml").write_text(to_toml(TINY.to_dict()))
    context = multiprocessing.get_context("forkserver" if torch.cuda.is_available() else "fork")  # a used GPU cannot be forked
    ports = free_port(), free_port()
    processes = [context.Process(target=work, args=(rank, ports, folder), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    resume(folder / "stopped", data, progress=False)
    return folder


def said(folder: Path, name: str) -> list[tuple[str, str]]:
    """What each rank printed, and its errors."""
    return [tuple(json.loads((folder / f"{name}_{rank}.json").read_text())) for rank in range(2)]


@pytest.mark.parametrize(("name", "alone"), [("two", "one"), ("stopped", "one"), ("from_one", "one"), ("aware_two", "aware_one")])
def test_two_processes_do_what_one_does(name: str, alone: str, folder: Path) -> None:
    """Also where one goes on with what two began, and two with what one began; and for a chip's numbers."""
    one, other = load_state(folder / alone), load_state(folder / name)
    assert one["update"] == other["update"] == UPDATES
    assert one["deep_r"]["digest"] == other["deep_r"]["digest"]
    for part in ("model", "best"):
        for key, expected in one[part].items():
            torch.testing.assert_close(other[part][key], expected, rtol=CLOSE, atol=CLOSE)
    lines = [[flat(json.loads(line)) for line in (folder / each / HISTORY).read_text().splitlines()] for each in (alone, name)]
    assert len(lines[0]) == len(lines[1])
    for expected, found in zip(*lines):
        assert found == pytest.approx(expected, rel=CLOSE)


def test_two_processes_end_with_the_integers_of_one(folder: Path) -> None:
    """The chip's weights and constants, on a grid that was chosen from the weights of the moment and so moved with them."""
    one, other = (load_checkpoint(folder / name / BEST) for name in ("aware_one", "aware_two"))
    assert one.grid == other.grid
    assert load_state(folder / "aware_one")["grids"] == load_state(folder / "aware_two")["grids"]
    chip = load_profile("loihi2")
    graphs = [quantize(each.graph(), chip)[0] for each in (one, other)]
    assert graphs[0].precision == "integer"
    assert graphs[0].replace(metadata={}) == graphs[1].replace(metadata={})
    fresh = Run(AWARE, load_task(AWARE.task))
    assert fresh.best_grid != one.grid


def flat(line: dict[str, Any]) -> dict[str, float]:
    """The numbers of a line of the history by name."""
    inner = {f"{part}/{name}": value for part in ("train", "validation") for name, value in (line.pop(part) or {}).items()}
    return {**line, **inner}


def test_every_update_rewires(folder: Path) -> None:
    """Else equal masks would say nothing."""
    found = load_checkpoint(folder / "two" / BEST)
    assert any(bool(((found.initial[name] != 0) != mask).any()) for name, mask in found.masks.items())


def test_a_signal_to_one_rank_stops_all(folder: Path) -> None:
    for _, error in said(folder, "stopped"):
        assert f"TrainingInterrupted: Stopped after update 7 of {UPDATES}; the state is saved." in error


def test_a_planted_difference_stops_the_run(folder: Path) -> None:
    for _, error in said(folder, "planted"):
        assert "TrainingError: DEEP R: after update 4 the active synapses are not the same on all ranks" in error
        assert "rank 0: " in error
        assert "rank 1: " in error


def test_the_program_under_torchrun(folder: Path) -> None:
    """It finds its rank in torchrun's variables; the first alone prints and writes."""
    (out, _), (silence, _) = said(folder, "program")
    assert json.loads(out)["checkpoint"] == str(folder / "program" / BEST)
    assert silence == ""
    assert load_state(folder / "program")["update"] == 3
    assert {each.name for each in (folder / "two").iterdir()} == {each.name for each in (folder / "one").iterdir()}


def test_alone_without_torchrun() -> None:
    with joined() as ranks:
        assert ranks == Ranks()
        assert ranks.first


@given(st.integers(1, 9), st.integers(0, 40))
def test_shares_make_up_the_whole(size: int, n: int) -> None:
    shares = [Ranks(rank, size).share(n) for rank in range(size)]
    assert np.concatenate(shares).tolist() == list(range(n))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_alone_nothing_changes() -> None:
    given = torch.randn(3, requires_grad=True), torch.ones(())
    assert all(a is b for a, b in zip(mean_over(Ranks(), 1.0, *given), given))
    weights = torch.nn.Parameter(torch.ones(2))
    weights.square().sum().backward()
    sum_gradients(Ranks(), [weights])
    assert weights.grad is not None
    assert weights.grad.tolist() == [2, 2]


def test_a_share_is_part_of_the_samples() -> None:
    part = load_task(TINY.task).train
    chosen = np.array([3, 7, 4])
    share = Share(part, chosen)
    assert len(share) == 3
    assert (share.n_steps, share.n_neurons, share.dt) == (part.n_steps, part.n_neurons, part.dt)
    assert share.labels.tolist() == part.labels[chosen].tolist()
    assert np.array_equal(share.dense([2, 0]), part.dense([4, 3]))
    assert np.array_equal(share.head(2).spikes.to_dense(), part.dense([3, 7]))
