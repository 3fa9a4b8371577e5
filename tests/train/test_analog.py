"""Analog input: kernel = PyTorch's loop over whole updates, and all that a run leaves; what takes spikes alone refuses it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from neuromorph.cli.app import app
from neuromorph.data.mnist import Images
from neuromorph.dataset import Dataset
from neuromorph.errors import GraphError, QuantizationError, TrainingError
from neuromorph.graph import load
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.tasks import sequential_mnist
from neuromorph.tasks.sequential_mnist import GreyImages
from neuromorph.train import TrainConfig, load_checkpoint, resume, train
from neuromorph.train.evaluate import batch_of
from neuromorph.train.loop import BEST
from neuromorph.train.run import Run
from neuromorph.train.schedule import kept_inputs
from neuromorph.train.settings import build, to_toml
from tests.train.test_resume import assert_equal_runs, interrupted

TINY = TrainConfig.of(
    task={"name": "sequential_mnist", "encoding": {"kind": "grey", "steps_per_pixel": 2}},
    network={"n_excitatory": 6, "n_inhibitory": 2, "n_adaptive": 4, "max_input_delay": 3, "max_readout_delay": 4},
    deep_r={"connectivity": 0.6, "temperature": 1e-7},
    optimizer={"warm_up": 2},
    training={"epochs": 6, "batch": 16, "initial_scale": 1.0, "dtype": "float64"},
)


def images(n: int, seed: int) -> Images:
    """Two classes: a bright first half, or a bright second half of 20 pixels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    bright = (np.arange(20) < 10) != labels[:, None].astype(bool)
    return Images(rng.integers(0, 80, (n, 20), dtype=np.uint8) + (140 * bright).astype(np.uint8), labels)


PARTS = {"train": images(60, 0), "validation": images(40, 1), "test": images(40, 2)}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset("halves", 2, **{name: GreyImages(part, 2) for name, part in PARTS.items()})


def test_updates_on_the_kernel_are_those_of_the_loop(data: Dataset) -> None:
    runs = [Run(TINY, data), Run(TINY, data)]
    runs[1].model.compiled = False
    for _ in range(10):
        for run in runs:
            run.step()
    assert runs[0].deep_r.digest() == runs[1].deep_r.digest()
    assert runs[0].sums == pytest.approx(runs[1].sums, rel=1e-12)
    assert runs[0].sums[3] > 0, "neurons must fire"
    for found, expected in zip(*(run.model.parameters() for run in runs)):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_it_learns_goes_on_and_comes_back(data: Dataset, tmp_path: Path) -> None:
    result = train(TINY, data, folder=tmp_path / "whole", progress=False)
    assert result.test.accuracy > 0.9
    interrupted(TINY, data, tmp_path / "part", 7)
    resume(tmp_path / "part", data, progress=False)
    assert_equal_runs(tmp_path / "part", tmp_path / "whole")
    kept = load_checkpoint(tmp_path / "whole" / BEST)
    x, _ = batch_of(data.test, range(40), torch.device("cpu"))
    assert torch.equal(kept.model.decide(x, 5).logits, result.model.decide(x, 5).logits)
    assert kept.graph() == result.graph()
    assert kept.graph().metadata["input"] == "analog"


def test_dropout_multiplies(data: Dataset) -> None:
    run, chosen = Run(TINY, data), np.array([5, 2, 9])
    x, labels = run._batch(chosen, np.array([2, 0]))
    kept = kept_inputs((40, 3, 1), TINY.training.input_dropout, TINY.training.seed, 0)[:, [2, 0]]
    assert 0 < kept.mean() < 1
    assert np.array_equal(x.numpy(), data.train.dense([9, 5]) * kept)
    assert labels.tolist() == data.train.labels[[9, 5]].tolist()


def test_a_chip_takes_spikes(data: Dataset) -> None:
    chip = {"quantization": {"profile": "loihi2"}}
    with pytest.raises(TrainingError, match="the input of 'halves' is analog, and chips take spikes; choose an encoding"):
        Run(build(TrainConfig, chip, "test", start=TINY), data)
    graph = Run(TINY, data).checkpoint().graph()
    with pytest.raises(QuantizationError, match="trained on analog input, and loihi2_estimate takes spikes"):
        quantize(graph, load_profile("loihi2"))
    with pytest.raises(GraphError, match=r"train with task\.encoding\.kind"):
        _ = data.test.spikes


def test_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the task's option to a graph file, on tiny images in place of MNIST."""
    monkeypatch.setattr(sequential_mnist, "load_images", lambda **_: PARTS)
    config = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, epochs=1))
    (tmp_path / "tiny.toml").write_text(to_toml(config.to_dict()))
    for command in (f"train {tmp_path}/tiny.toml -o {tmp_path}/run", f"export {tmp_path}/run/{BEST} {tmp_path}/graph.h5"):
        result = CliRunner().invoke(app, command.split())
        assert result.exit_code == 0, (result.output, result.exception)
    assert not (tmp_path / "run" / "test.h5").exists()
    assert load(tmp_path / "graph.h5").population("input").n == 1
    about = load_checkpoint(tmp_path / "run" / BEST).task["about"]
    assert (about["encoding"], about["steps_per_pixel"]) == ("grey values", 2)
    assert "n_thresholds" not in about
