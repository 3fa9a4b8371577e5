"""Configurations: files, assignments, every kind of mistake told by file and key, round trips through TOML and JSON."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neuromorph.cli.app import app
from neuromorph.configs import FOLDER, shipped
from neuromorph.errors import TrainingError
from neuromorph.tasks import digits, sequential_mnist
from neuromorph.tasks.choose import load_task
from neuromorph.train import LSNN, TrainConfig, allowed_synapses, draw_masks
from neuromorph.train.config import OptimizerConfig, TaskConfig, TrainingConfig
from neuromorph.train.schedule import epoch_order, learning_factor
from neuromorph.train.settings import build, overrides, read_toml, to_toml


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_digits_file_is_the_default() -> None:
    read = TrainConfig.read("digits")
    assert digits.Encoding(**read.task.encoding) == digits.Encoding()  # pyright: ignore[reportArgumentType]
    assert dataclasses.replace(read, task=TaskConfig()) == TrainConfig()


def test_the_sequential_mnist_file_is_the_papers() -> None:
    """Sizes of the LSNN code: 80 x 220, 220 x 220 and 220 x 10 possible weights of which 12 %, 8,184, are active."""
    config = TrainConfig.read("sequential_mnist")
    network = config.network
    assert (network.n_excitatory + network.n_adaptive, network.n_inhibitory) == (166, 54)
    encoding = sequential_mnist.Encoding(**config.task.encoding)  # pyright: ignore[reportArgumentType]
    assert encoding == sequential_mnist.Encoding()
    model = LSNN(network, encoding.n_channels, 10, generator=torch.Generator())
    masks = draw_masks(allowed_synapses(model.weights()), config.deep_r.connectivity, torch.Generator())
    assert sum(int(mask.sum()) for mask in masks.values()) == int(0.12 * (80 * 220 + 220 * 220 + 220 * 10)) == 8184
    assert config.updates(55_000) == 36_000


def test_shipped_configurations_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped() == ["digits", "sequential_mnist"]
    write(tmp_path, "[optimizer]\nlr = 7")
    assert TrainConfig.read("mine.toml").optimizer.lr == 7.0
    with pytest.raises(TrainingError, match=r"'mine' is unknown; there are digits, sequential_mnist, or give a path ending in \.toml"):
        TrainConfig.read("mine")


def test_the_program_shows_a_configuration(tmp_path: Path) -> None:
    """As TOML that it reads back, or as JSON; nothing is trained."""
    arguments = ["train", "sequential_mnist", "--set", "optimizer.lr=0.5", "--show"]
    expected = TrainConfig.read("sequential_mnist", ["optimizer.lr=0.5"])
    toml, as_json = (CliRunner().invoke(app, arguments + more).stdout for more in ([], ["--json"]))
    assert TrainConfig.read(write(tmp_path, toml)) == expected
    assert build(TrainConfig, json.loads(as_json), "json") == expected


def test_a_file_and_assignments_over_it(tmp_path: Path) -> None:
    path = write(tmp_path, "[optimizer]\nlr = 1\n[network]\ntau_a = [0.1, 0.2]\n[task.encoding]\nn_thresholds = 2\n")
    chosen = ["optimizer.schedule=step", "training.seed = 7", "network.tau_a=0.3", "task.encoding.cue_steps=3", 'task.name="digits"']
    config = TrainConfig.read(path, chosen)
    assert config.optimizer == OptimizerConfig(lr=1.0, schedule="step")
    assert type(config.optimizer.lr) is float
    assert TrainConfig.read(path).network.tau_a == (0.1, 0.2)
    assert config.network.tau_a == 0.3
    assert config.training == TrainingConfig(seed=7)
    assert config.task.encoding == {"n_thresholds": 2, "cue_steps": 3}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[optimizer]\nlearning_rate = 1", ["'optimizer.learning_rate' is unknown", "allowed: name, lr,"]),
        ("[optimizer]\nwarmup = 1", ["did you mean 'warm_up'?"]),
        ("[optimiser]\nlr = 1", ["'optimiser' is unknown", "did you mean 'optimizer'?"]),
        ("optimizer = 1", ["'optimizer' is 1", "write [optimizer]"]),
        ('[optimizer]\nlr = "fast"', ["'optimizer.lr' is 'fast'", "allowed: a number"]),
        ("[optimizer]\nlr = true", ["'optimizer.lr' is True", "allowed: a number"]),
        ('[optimizer]\nschedule = "linear"', ["'optimizer.schedule' is 'linear'", '"cosine", "step", "constant"']),
        ("[training]\nbatch = 1.5", ["'training.batch' is 1.5", "a whole number"]),
        ("[training]\ntensorboard = 1", ["'training.tensorboard' is 1", "true or false"]),
        ("[network]\ntau_a = [1, 2, 3]", ["'network.tau_a' is [1, 2, 3]", "a number or a list"]),
        ("[optimizer]\nlr = -1", ["optimizer.lr is -1.0", "above 0"]),
        ("[optimizer]\nlr = inf", ["optimizer.lr is inf", "above 0"]),
        ("[optimizer]\nclip = nan", ["optimizer.clip is nan", "0 or more"]),
        ("[training]\ninput_dropout = 1.0", ["training.input_dropout is 1.0", "below 1"]),
        ("[deep_r]\nconnectivity = 1.5", ["deep_r.connectivity is 1.5", "up to 1"]),
        ("[network]\nn_ref = -1", ["[network]", "n_ref is -1"]),
        ("[deep_r]\nfinal_connectivity = 0.1", ["[deep_r]", "first < last"]),
        ("[network", ["this is not TOML"]),
    ],
)
def test_mistakes_are_named(text: str, parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as error:
        TrainConfig.read(write(tmp_path, text))
    for part in ["mine.toml", *parts]:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("assignment", "part"),
    [
        ("optimizer.lr", "give section.key=value"),
        ("=3", "give section.key=value"),
        ("optimizer.lr=[1", "not a TOML value"),
        ("optimizer.rl=1", "did you mean 'lr'?"),
    ],
)
def test_mistakes_in_assignments(assignment: str, part: str) -> None:
    with pytest.raises(TrainingError, match="--set") as error:
        TrainConfig.read(None, [assignment])
    assert part in str(error.value)


def test_a_key_is_a_section_or_a_value() -> None:
    with pytest.raises(TrainingError, match="cannot be a section"):
        overrides(["optimizer=1", "optimizer.lr=1"])


def test_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError):
        TrainConfig.read("nowhere.toml")


@pytest.mark.parametrize(
    ("task", "part"),
    [
        ({"name": "cifar"}, "allowed: digits, sequential_mnist"),
        ({"encoding": {"cue": 1}}, "'task.encoding.cue' is unknown; did you mean 'cue_steps'?"),
        ({"encoding": {"cue_steps": 0}}, "cue_steps=0"),
    ],
)
def test_mistakes_in_tasks(task: dict[str, Any], part: str) -> None:
    with pytest.raises(TrainingError) as error:
        load_task(TrainConfig.of(task=task).task, "mine.toml")
    assert part in str(error.value)
    assert "mine.toml" in str(error.value)


def test_tasks_in_part() -> None:
    data = load_task(TaskConfig(encoding={"cue_steps": 2}, train=7, test=5))
    assert (len(data.train), len(data.validation), len(data.test), data.train.n_steps) == (7, 179, 5, 66)


POSITIVE = st.floats(1e-6, 1e6)
SECTIONS = {
    "task": {"encoding": st.dictionaries(st.sampled_from(["a", "b"]), st.text() | st.integers() | st.booleans())},
    "network": {"tau_a": POSITIVE | st.tuples(POSITIVE, POSITIVE)},
    "deep_r": {"connectivity": st.floats(0.01, 1.0), "final_connectivity": st.none() | st.floats(0.01, 1.0), "ramp_last": st.just(9)},
    "optimizer": {"lr": POSITIVE, "schedule": st.sampled_from(["cosine", "step", "constant"]), "warm_up": st.integers(0, 99)},
    "regularisation": {"rate_target_hz": POSITIVE},
    "training": {"updates": st.none() | st.integers(1, 10**9), "tensorboard": st.booleans(), "device": st.text()},
}


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({name: st.fixed_dictionaries(keys) for name, keys in SECTIONS.items()}))
def test_toml_and_json_give_it_back(sections: dict[str, dict[str, Any]]) -> None:
    config = TrainConfig.of(**sections)
    table = config.to_dict()
    assert build(TrainConfig, tomllib.loads(to_toml(table)), "test") == config
    assert build(TrainConfig, json.loads(json.dumps(table)), "test") == config


def test_learning_rate_rises_then_falls() -> None:
    cosine = OptimizerConfig(warm_up=9)
    factors = [learning_factor(cosine, update, 100) for update in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[100] == pytest.approx(0.02)
    assert max(range(101), key=factors.__getitem__) == 9


def test_learning_rate_falls_in_steps() -> None:
    step = OptimizerConfig(schedule="step", warm_up=0)
    assert [learning_factor(step, update, 36_000) for update in (0, 2499, 2500, 7500)] == pytest.approx([1, 1, 0.8, 0.512])
    assert learning_factor(OptimizerConfig(schedule="constant", warm_up=0), 99, 100) == 1


@given(st.integers(0, 50), st.integers(0, 2**63), st.integers(0, 10**6))
def test_the_order_of_an_epoch(n: int, seed: int, epoch: int) -> None:
    order = epoch_order(n, seed, epoch)
    assert sorted(order) == list(range(n))
    assert (order == epoch_order(n, seed, epoch)).all()


def test_epochs_are_shuffled_anew() -> None:
    assert (epoch_order(100, 0, 0) != epoch_order(100, 0, 1)).any()
    assert (epoch_order(100, 0, 0) != epoch_order(100, 1, 0)).any()


def test_files_are_toml() -> None:
    for path in FOLDER.glob("*.toml"):
        assert TrainConfig.read(path).task.name == path.stem == read_toml(path)["task"]["name"]
