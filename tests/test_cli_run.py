"""`neuromorph run`: in one piece and in shards the same numbers, the same files; failures listed with exit code 1."""

import json
import re
from pathlib import Path

import nir
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from neuromorph.backends.fast import FastBackend
from neuromorph.backends.fast.summary import load_summary
from neuromorph.cli.simulate import run
from neuromorph.counts import count
from neuromorph.errors import NeuromorphError
from neuromorph.graph import Graph, load, save
from neuromorph.recording import Recording, load_recording
from neuromorph.spikes import Spikes, load_spikes, save_spikes
from tests.strategies import random_graph, random_inputs
from tests.test_recording import assert_equal
from tests.test_shards import same_summary
from tests.test_shards_failures import overflowing

LABELS = np.array([0, 1, 0, 1, 0, 0, 1])
app = typer.Typer(rich_markup_mode=None)
app.command()(run)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A graph that decides over its last 9 steps, and labelled inputs of 25."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(3)
    graph = random_graph(rng, precision="integer").replace(metadata={"decision_window": "9"})
    save(folder / "model.h5", graph)
    save_spikes(folder / "in.h5", {"in": random_inputs(rng, graph, 7, 25)}, LABELS)
    return folder / "model.h5", folder / "in.h5"


def call(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def told(*args: object, code: int = 0) -> dict:
    return json.loads(call(*args, "--json", code=code))


def refused(*args: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert isinstance(result.exception, NeuromorphError)
    return str(result.exception)


def given(files: tuple[Path, Path]) -> tuple[Graph, Spikes]:
    return load(files[0]), load_spikes(files[1])["in"]


def test_the_numbers_of_a_run(files: tuple[Path, Path], tmp_path: Path) -> None:
    graph, trains = given(files)
    data = told(*files, "-o", tmp_path / "r.h5", "--states", "out")
    recording = FastBackend().run(graph, trains, states=["out"])
    assert_equal(load_recording(tmp_path / "r.h5"), recording)
    decided = recording.readouts["out"][-9:].sum(axis=0).argmax(axis=1)
    assert data["accuracy"] == (decided == LABELS).mean()
    assert data["spikes"] == {name: len(s) for name, s in recording.spikes.items()}
    assert data["rate_hz"] == {name: s.rate() for name, s in recording.spikes.items()}
    assert (data["backend"], data["precision"], data["samples"], data["steps"]) == ("fast", "integer", 7, 25)
    assert data["file"] == str(tmp_path / "r.h5")


def test_the_form_of_the_file_follows_its_name(files: tuple[Path, Path], tmp_path: Path) -> None:
    call(*files, "-o", tmp_path / "r.npz")
    assert_equal(Recording.from_npz(tmp_path / "r.npz"), FastBackend().run(*given(files)))
    call(*files, "-o", tmp_path / "r.nir", "--shards", tmp_path / "shards", "--shard-size", 3)
    assert "hidden0" in nir.read_data(str(tmp_path / "r.nir")).nodes


def test_shards_tell_what_one_piece_tells(files: tuple[Path, Path], tmp_path: Path) -> None:
    whole = told(*files, "-o", tmp_path / "whole.h5")
    parts = told(*files, "-o", tmp_path / "parts.h5", "--shards", tmp_path / "shards", "--shard-size", 3)
    assert {**parts, "file": whole["file"]} == whole
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert len(list((tmp_path / "shards").glob("*.h5"))) == 3


def test_counts_are_those_of_a_recording(files: tuple[Path, Path], tmp_path: Path) -> None:
    graph, trains = given(files)
    recording = FastBackend().run(graph, trains)
    wanted = count(graph, trains, recording).per_inference()
    for more in ((), ("--shards", tmp_path / "shards", "--shard-size", 3)):
        data = told(*files, "--counts", "-o", tmp_path / "s.h5", *more)
        for kind, by_name in wanted.items():
            assert data["per_inference"][kind] == pytest.approx(by_name, rel=1e-12)
        assert data["spikes"] == {name: len(s) for name, s in recording.spikes.items()}
        assert data["accuracy"] == told(*files)["accuracy"]
        kept = load_summary(tmp_path / "s.h5")
        same_summary(kept, FastBackend().summarise(graph, trains, window=9))
    table = call(*files, "--counts")
    assert "Counts per inference" in table
    assert "active updates" in table


def test_workers_leave_no_shards_unless_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "r.h5"
    whole = told(*files)
    assert {**told(*files, "-o", out, "--workers", 1, "--shard-size", 4), "file": None} == whole
    assert [path.name for path in tmp_path.iterdir()] == ["r.h5"]
    told(*files, "-o", out, "--shards", tmp_path / "kept", "--no-keep-shards")
    assert not (tmp_path / "kept").exists()


def test_chosen_spikes_and_samples(files: tuple[Path, Path]) -> None:
    graph, trains = given(files)
    data = told(*files, "--spikes", "hidden0", "--samples", 3, "--backend", "reference")
    assert data["spikes"] == {"hidden0": len(FastBackend().run(graph, trains.select([0, 1, 2])).spikes["hidden0"])}


def test_failed_samples_are_listed_and_tried_again(tmp_path: Path) -> None:
    graph, trains = overflowing()
    save(tmp_path / "model.h5", graph)
    save_spikes(tmp_path / "in.h5", {"in": trains})
    args = tmp_path / "model.h5", tmp_path / "in.h5", "-o", tmp_path / "r.h5", "--shards", tmp_path / "s", "--shard-size", 1
    data = told(*args, "--strict", code=1)
    assert list(data["failed"]) == ["1..1", "3..3"]
    assert (data["samples"], data["file"]) == (2, None)
    assert not (tmp_path / "r.h5").exists()
    assert re.search(r"1\.\.1 .*SaturationError", call(*args, "--strict", code=1))
    assert told(*args)["samples"] == 4


def test_what_contradicts_itself(files: tuple[Path, Path]) -> None:
    assert "needs the backend fast" in refused(*files, "--counts", "--backend", "reference")
    assert "neither spikes nor states" in refused(*files, "--counts", "--spikes", "hidden0")
    assert "give one of them" in refused(*files, "--workers", 2, "--scheduler", "tcp://127.0.0.1:1")
