"""Training on a few digits: it learns, keeps its promises, repeats itself, and its checkpoints are safe to read."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from neuromorph.dataset import Dataset
from neuromorph.errors import FormatError
from neuromorph.tasks.digits import Encoding, load
from neuromorph.train.checkpoint import load_checkpoint, save_checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.evaluate import evaluate
from neuromorph.train.loop import BEST, torch_threads, train
from neuromorph.train.settings import build

SIZES = {"n_excitatory": 12, "n_inhibitory": 4, "n_adaptive": 8}
SMALL = TrainConfig.of(
    network={**SIZES, "max_readout_delay": 40},
    deep_r={"connectivity": 0.5, "l1": 1e-3},
    optimizer={"warm_up": 2},
    training={"epochs": 8, "batch": 16, "window": 3},
)
DECISION = SMALL.training.window, SMALL.training.logit_scale
N_ACTIVE = round(0.5 * (24 * 5 + 24 * 23 + 10 * 24))


@pytest.fixture(scope="module")
def data() -> Dataset:
    whole = load(Encoding(n_thresholds=2, cue_steps=3))
    parts = {"train": 48, "validation": 32, "test": 32}
    return dataclasses.replace(whole, **{name: getattr(whole, name).head(n) for name, n in parts.items()})


def changed(**sections: dict[str, Any]) -> TrainConfig:
    return build(TrainConfig, sections, "test", start=SMALL)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(SMALL, data, folder=folder, progress=False), folder / BEST


def test_learns_under_its_constraints(data, trained):
    result, _ = trained
    assert [epoch.epoch for epoch in result.history] == list(range(1, 9))
    assert result.history[-1].train.loss < result.history[0].train.loss
    assert {epoch.n_active for epoch in result.history} == {N_ACTIVE}
    assert result.n_active == sum(int(mask.sum()) for mask in result.checkpoint.masks.values()) == N_ACTIVE
    for name, w in result.model.weights().items():
        assert torch.equal(w != 0, result.checkpoint.masks[name])
        assert (result.checkpoint.signs[name] * w >= 0).all()
    assert result.test == evaluate(result.model, data.test, *DECISION)


def test_keeps_the_best_validation_epoch(data, trained):
    result, _ = trained
    best = result.best.validation
    assert best.loss == min(epoch.validation.loss for epoch in result.history)
    assert evaluate(result.model, data.validation, *DECISION) == best


def test_one_seed_gives_one_result(data, trained):
    result, _ = trained
    again = train(SMALL, data, progress=False)
    assert again.history == result.history
    for name, w in result.model.state_dict().items():
        assert torch.equal(w, again.model.state_dict()[name])
    other = train(changed(training={"seed": 1, "epochs": 1}), data, progress=False)
    assert other.history[0] != result.history[0]


def test_global_state_is_left_alone(data):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(changed(training={"epochs": 1}), data, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_threads_are_restored_after_an_error():
    before = torch.get_num_threads()
    inside = []

    def fail() -> None:
        with torch_threads(before + 1):
            inside.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == [before + 1]
    assert torch.get_num_threads() == before


def test_form_of_loihi_1_trains(data):
    config = changed(network={"reset": "to_value", "adaptation": "current"})
    result = train(config, data, progress=False)
    assert result.model.config.reset == "to_value"
    assert result.model.config.adaptation == "current"
    assert result.history[-1].train.loss < result.history[0].train.loss


def test_evaluation_by_hand(data, trained):
    result, _ = trained
    part = data.test.head(5)
    y, z = result.model(torch.tensor(part.spikes.to_dense(), dtype=torch.float32))
    decided = y[-SMALL.training.window :].mean(0).argmax(1).numpy()
    found = evaluate(result.model, part, *DECISION)
    assert found.accuracy == np.mean(decided == part.labels)
    assert found.rate_hz == pytest.approx(float(z.detach().double().mean()) / 1e-3, rel=1e-5)


def test_checkpoint_round_trip(data, trained, tmp_path):
    result, path = trained
    found = load_checkpoint(path)
    assert found.model.config == result.model.config
    assert found.task == {"name": "digits", "about": dict(data.about)}
    assert found.args == SMALL.to_dict()
    assert list(found.history) == [dataclasses.asdict(epoch) for epoch in result.history]
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor)
    for part in ("signs", "masks", "initial"):
        for name, tensor in getattr(result.checkpoint, part).items():
            assert torch.equal(getattr(found, part)[name], tensor)
    assert evaluate(found.model, data.test, *DECISION) == result.test
    save_checkpoint(tmp_path / "again.safetensors", found)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_damaged_bytes_are_refused(trained, tmp_path):
    content = trained[1].read_bytes()
    bad = tmp_path / "bad.safetensors"
    for place in (len(content) - 5, len(content) // 2, 20, 0):
        bad.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(FormatError, match=r"bad\.safetensors"):
            load_checkpoint(bad)
    for end in (0, 7, 100, len(content) - 1):
        bad.write_bytes(content[:end])
        with pytest.raises(FormatError, match=r"bad\.safetensors"):
            load_checkpoint(bad)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.safetensors")


def test_other_safetensors_are_refused(trained, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(FormatError, match="metadata"):
        load_checkpoint(path)
    with safe_open(trained[1], framework="pt") as file:
        header = json.loads(file.metadata()["neuromorph"])
    save_file(load_file(trained[1]), path, {"neuromorph": json.dumps({**header, "version": 2})})
    with pytest.raises(FormatError, match="version 2"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("part", "reason"), [("masks", "contradict"), ("signs", "contradict"), ("initial", "names and shapes"), ("model", "make no LSNN")]
)
def test_inconsistent_checkpoints_are_refused(part, reason, trained, tmp_path):
    """Whole files with a right SHA-256 whose contents disagree."""
    found = load_checkpoint(trained[1])
    if part == "masks":
        wrong = dataclasses.replace(found, masks={name: ~mask for name, mask in found.masks.items()})
    elif part == "signs":
        wrong = dataclasses.replace(found, signs={name: -sign for name, sign in found.signs.items()})
    elif part == "initial":
        wrong = dataclasses.replace(found, initial={"input": found.initial["input"]})
    else:
        found.model.n_in = 6
        wrong = found
    path = tmp_path / "wrong.safetensors"
    save_checkpoint(path, wrong)
    with pytest.raises(FormatError, match=reason):
        load_checkpoint(path)
