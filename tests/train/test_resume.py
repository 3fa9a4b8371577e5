"""A run that was stopped anywhere goes on with the same bits; what it leaves is whole or not there."""

import dataclasses
import importlib.util
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neuromorph.dataset import Dataset
from neuromorph.errors import FormatError, TrainingError
from neuromorph.tasks.choose import load_task
from neuromorph.train import TrainConfig, TrainingInterrupted, resume, train
from neuromorph.train.config import TaskConfig
from neuromorph.train.history import HISTORY, Record
from neuromorph.train.loop import BEST, CONFIG, saved_config
from neuromorph.train.run import Run
from neuromorph.train.settings import build
from neuromorph.train.state import FORMAT, PREVIOUS, STATE, load_state, pack, save_state, unpack

TINY = TrainConfig.of(
    task={"encoding": {"n_thresholds": 2, "cue_steps": 3}, "train": 40, "validation": 16, "test": 16},
    network={"n_excitatory": 6, "n_inhibitory": 2, "n_adaptive": 4},
    deep_r={"connectivity": 0.5, "temperature": 1e-7},
    optimizer={"warm_up": 2},
    training={"epochs": 4, "batch": 16, "window": 3, "evaluate_every": 5, "log_every": 2, "threads": 1},
)
UPDATES = 12


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_task(TINY.task)


@pytest.fixture(scope="module")
def whole(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    train(TINY, data, folder=folder, progress=False)
    return folder


def final(folder: Path) -> dict[str, Any]:
    """The whole last state but for wall time."""
    content, tensors = FORMAT.read(folder / STATE)
    outline = {key: value for key, value in content["state"]["dict"] if key != "seconds"}
    return {"outline": outline, "tensors": {name: (t.dtype, t.shape, t.numpy().tobytes()) for name, t in tensors.items()}}


def assert_equal_runs(found: Path, expected: Path) -> None:
    for name in (BEST, HISTORY, CONFIG):
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name
    assert final(found) == final(expected)


@contextmanager
def signalled(update: int, number: int) -> Iterator[None]:
    """A signal comes while that update is at work."""
    honest = Run.step

    def step(self: Run) -> None:
        honest(self)
        if self.update == update:
            os.kill(os.getpid(), number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "step", step)
        yield


def interrupted(config: TrainConfig, data: Dataset, folder: Path, update: int, number: int = signal.SIGINT) -> TrainingInterrupted:
    with signalled(update, number), pytest.raises(TrainingInterrupted) as error:
        train(config, data, folder=folder, progress=False)
    return error.value


@pytest.mark.parametrize("update", [1, 5, 7, 11, UPDATES])
def test_resumed_runs_are_equal(update: int, data: Dataset, whole: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, where validation is due, where a log line is due, at the very end."""
    interrupted(TINY, data, tmp_path, update)
    assert load_state(tmp_path)["update"] == update
    result = resume(tmp_path, data, progress=False)
    assert result.history[-1].update == UPDATES
    assert_equal_runs(tmp_path, whole)


def test_resumed_again_and_again(data: Dataset, whole: Path, tmp_path: Path) -> None:
    interrupted(TINY, data, tmp_path, 2)
    for update in (3, 8):
        with signalled(update, signal.SIGTERM), pytest.raises(TrainingInterrupted):
            resume(tmp_path, data, progress=False)
    resume(tmp_path, data, progress=False)
    assert_equal_runs(tmp_path, whole)


@pytest.mark.parametrize(
    "sections",
    [
        {"optimizer": {"name": "sgd", "schedule": "step", "step_every": 3, "clip": 0}},
        {"deep_r": {"constraint": "projection", "dormant_gradients": "live", "final_connectivity": 0.3, "ramp_last": 9}},
        {"deep_r": {"method": "soft", "temperature": 1e-6}},
        {"network": {"max_recurrent_delay": 2, "learned": ["tau_m", "tau_a"]}, "regularisation": {"voltage_weight": 0.1}},
    ],
    ids=["sgd", "ramp", "soft", "learned"],
)
def test_other_optimizers_and_rewirings(sections: dict[str, dict[str, Any]], data: Dataset, tmp_path: Path) -> None:
    config = build(TrainConfig, sections, "test", start=TINY)
    train(config, data, folder=tmp_path / "whole", progress=False)
    interrupted(config, data, tmp_path / "part", 7)
    resume(tmp_path / "part", data, progress=False)
    assert_equal_runs(tmp_path / "part", tmp_path / "whole")


def test_stopped_during_validation(data: Dataset, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The validation that was cut short is done after all."""
    honest = Run.record

    def record(self: Run, between: Callable[[], None]) -> Record:
        if self.update == 5 and self.history[-1].update != 5:
            os.kill(os.getpid(), signal.SIGINT)
        return honest(self, between)

    monkeypatch.setattr(Run, "record", record)
    with pytest.raises(TrainingInterrupted):
        train(TINY, data, folder=tmp_path, progress=False)
    assert load_state(tmp_path)["history"][-1]["update"] == 4
    monkeypatch.undo()
    resume(tmp_path, data, progress=False)
    assert_equal_runs(tmp_path, whole)


def test_a_finished_run_resumes_to_itself(data: Dataset, whole: Path) -> None:
    before = final(whole)
    result = resume(whole, data, progress=False)
    assert result.history[-1].update == UPDATES
    assert final(whole) == before


def test_the_message_tells_how_to_go_on(data: Dataset, tmp_path: Path) -> None:
    error = interrupted(TINY, data, tmp_path, 3, signal.SIGTERM)
    assert error.number == signal.SIGTERM
    assert f"after update 3 of {UPDATES}" in str(error)
    assert f"neuromorph train --resume {tmp_path}" in str(error)


def test_signal_handlers_are_put_back(data: Dataset, tmp_path: Path) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    interrupted(TINY, data, tmp_path, 1)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_trains_in_a_thread(data: Dataset, tmp_path: Path) -> None:
    """Only the main thread may handle signals."""
    done: list[int] = []
    config = build(TrainConfig, {"training": {"updates": 1}}, "test", start=TINY)
    thread = threading.Thread(target=lambda: done.append(len(train(config, data, folder=tmp_path, progress=False).history)))
    thread.start()
    thread.join()
    assert done == [1]


def test_history_is_rewound(data: Dataset, whole: Path, tmp_path: Path) -> None:
    """Lines, a torn one among them, and a best model that a killed run wrote after its last saved state."""
    interrupted(TINY, data, tmp_path, 3)
    with (tmp_path / HISTORY).open("a") as file:
        file.write((whole / HISTORY).read_text().splitlines(keepends=True)[-1] + '{"update": 1')
    (tmp_path / BEST).write_bytes(b"later")
    resume(tmp_path, data, progress=False)
    assert_equal_runs(tmp_path, whole)


def test_history_tells_all(data: Dataset, whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / HISTORY).read_text().splitlines()]
    assert [line["update"] for line in lines] == [2, 4, 5, 6, 8, 10, 12]
    assert [line["update"] for line in lines if line["validation"]] == [5, 10, 12]
    assert [line["epoch"] for line in lines] == [line["update"] / 3 for line in lines]
    assert [Record.of(line) for line in lines] == [Record.of(values) for values in load_state(whole)["history"]]


def test_tensorboard_is_optional(data: Dataset, tmp_path: Path) -> None:
    """Without it: one warning, and the same numbers in the history. With it: a folder of event files."""
    config = build(TrainConfig, {"training": {"updates": 2, "tensorboard": True}}, "test", start=TINY)
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.warns(UserWarning, match=r"pip install tensorboard.*history\.jsonl"):
            train(config, data, folder=tmp_path, progress=False)
    else:
        train(config, data, folder=tmp_path, progress=False)
        assert list((tmp_path / "tensorboard").iterdir())
    assert len((tmp_path / HISTORY).read_text().splitlines()) == 1


def test_checkpoints_by_updates(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr("neuromorph.train.loop.save_state", lambda folder, state: saved.append(state["update"]))
    config = build(TrainConfig, {"training": {"checkpoint_every": 5, "checkpoint_seconds": 1e6}}, "test", start=TINY)
    train(config, data, folder=tmp_path, progress=False)
    assert saved == [0, 5, 10, 12]


def test_divergence_names_the_update_and_keeps_the_last_good_state(data: Dataset, tmp_path: Path) -> None:
    sections = {"optimizer": {"lr": 1e37, "clip": 0, "warm_up": 0}, "training": {"checkpoint_every": 1}}
    with pytest.raises(TrainingError, match=r"diverged in update \d+") as error:
        train(build(TrainConfig, sections, "test", start=TINY), data, folder=tmp_path, progress=False)
    state = load_state(tmp_path)
    assert f"{tmp_path / STATE} still holds the state after update {state['update']}" in str(error.value)
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())


def test_divergence_of_the_loss(data: Dataset) -> None:
    with pytest.raises(TrainingError, match="diverged in update 1: the loss is"):
        train(build(TrainConfig, {"training": {"logit_scale": 1e40}}, "test", start=TINY), data, progress=False)


def test_other_errors_are_no_divergence(data: Dataset) -> None:
    with pytest.raises(TrainingError, match=r"^Readout window of 100 steps; allowed 1\.\.67"):
        train(build(TrainConfig, {"training": {"window": 100}}, "test", start=TINY), data, progress=False)


def test_damaged_states_are_refused(data: Dataset, tmp_path: Path) -> None:
    config = build(TrainConfig, {"training": {"checkpoint_every": 3}}, "test", start=TINY)
    train(config, data, folder=tmp_path / "whole", progress=False)
    interrupted(config, data, tmp_path, 7)
    content = (tmp_path / STATE).read_bytes()
    for damaged in (b"", content[:100], content[:-1], content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]):
        (tmp_path / STATE).write_bytes(damaged)
        with pytest.raises(FormatError, match=r"state\.safetensors.*copy state\.previous\.safetensors over state\.safetensors"):
            resume(tmp_path, data, progress=False)
    assert (tmp_path / STATE).read_bytes() == damaged
    (tmp_path / STATE).write_bytes((tmp_path / PREVIOUS).read_bytes())
    assert load_state(tmp_path)["update"] == 6
    resume(tmp_path, data, progress=False)
    assert_equal_runs(tmp_path, tmp_path / "whole")


def test_no_state(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        resume(tmp_path, data)


def test_other_data_are_refused(data: Dataset, tmp_path: Path) -> None:
    interrupted(TINY, data, tmp_path, 1)
    for other in (load_task(TaskConfig(encoding={"n_thresholds": 2, "cue_steps": 4})), dataclasses.replace(data, test=data.test.head(3))):
        with pytest.raises(TrainingError, match="give the same data"):
            resume(tmp_path, other, progress=False)


def test_the_configuration_is_kept(whole: Path) -> None:
    assert saved_config(whole) == TINY == TrainConfig.read(whole / CONFIG)


NUMBERS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5)
KEYS = st.integers(0, 9) | st.sampled_from(["0", "a", "a/b", "b", "lr"])
KINDS = [torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8, torch.bfloat16]


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        NUMBERS | st.tuples(st.sampled_from(KINDS), st.integers(0, 3)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_nest_comes_back(nest: Any) -> None:
    def fill(value: Any) -> Any:
        if isinstance(value, tuple):
            return torch.arange(value[1]).to(value[0])
        if isinstance(value, dict):
            return {key: fill(each) for key, each in value.items()}
        return [fill(each) for each in value] if isinstance(value, list) else value

    state, tensors = fill(nest), dict[str, Tensor]()
    outline = json.loads(json.dumps(pack(state, tensors), allow_nan=False))
    same(unpack(outline, tensors, torch.device("cpu")), state)


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected):
            same(a, b)
    else:
        assert found == expected


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "Adagrad", "Adadelta", "ASGD", "LBFGS"]
)
def test_every_optimizer_of_torch_round_trips(name: str, tmp_path: Path) -> None:
    def steps(optimizer: torch.optim.Optimizer, weights: Tensor, n: int) -> None:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (weights**4).sum()
            loss.backward()
            return loss

        for _ in range(n):
            optimizer.step(closure)

    options = {"SGD": {"momentum": 0.9}, "Adam": {"amsgrad": True}, "RMSprop": {"momentum": 0.9, "centered": True}}.get(name, {})
    make = getattr(torch.optim, name)
    weights = torch.nn.Parameter(torch.arange(1.0, 4.0))
    optimizer = make([weights], lr=1e-2, **options)
    steps(optimizer, weights, 3)
    save_state(tmp_path, {"optimizer": optimizer.state_dict(), "weights": weights})
    state = load_state(tmp_path)
    same(state["optimizer"], optimizer.state_dict())
    copy = torch.nn.Parameter(state["weights"])
    other = make([copy], lr=1.0, **options)
    other.load_state_dict(state["optimizer"])
    for each in ((optimizer, weights), (other, copy)):
        steps(*each, 3)
    assert torch.equal(copy, weights)


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="'a/0' is a set"):
        save_state(tmp_path, {"a": [{1}]})
    with pytest.raises(TrainingError, match="keys of 'a'"):
        save_state(tmp_path, {"a": {1.5: 2}})
    assert not list(tmp_path.iterdir())
