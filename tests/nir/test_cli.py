"""`neuromorph import` and `neuromorph nir`, as users call them."""

import json
import subprocess
import sys
from pathlib import Path

import nir
import numpy as np

import neuromorph as nm
from tests.nir import files


def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "neuromorph", *map(str, words)], capture_output=True, text=True)


def test_in_run_and_out(tmp_path: Path) -> None:
    path = files.written("recurrent_nested", tmp_path)
    made = call("import", path, "--dt", "1e-3", "-o", tmp_path / "model.h5", "--json")
    told = json.loads(made.stdout)
    assert made.returncode == 0
    assert {p["name"]: p["latency"] for p in told["populations"]} == {"input": "0", "always": "0", "rec.lif": "1", "read": "2"}
    assert any("Biases" in sentence for sentence in told["assumptions"])
    spikes = nm.Spikes.from_dense(np.random.default_rng(0).random((50, 2, 12)) < 0.2, 1e-3)
    nm.save_spikes(tmp_path / "test.h5", {"input": spikes})
    assert call("run", tmp_path / "model.h5", tmp_path / "test.h5", "-o", tmp_path / "out.h5").returncode == 0
    out = call("nir", tmp_path / "model.h5", "-o", tmp_path / "again.nir", "--json")
    assert out.returncode == 0
    assert json.loads(out.stdout)["lost"] == []
    assert set(nir.read(tmp_path / "again.nir").nodes) == set(json.loads(out.stdout)["nodes"])
    back = call("import", tmp_path / "again.nir", "-o", tmp_path / "back.h5")
    assert back.returncode == 0
    assert nm.load(tmp_path / "back.h5") == nm.load(tmp_path / "model.h5")


def test_what_is_missing_or_lost_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = files.written("feed_forward", tmp_path)
    refused = call("import", path)
    assert refused.returncode == 2
    assert "give dt" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not path.with_suffix(".h5").exists()
    graph = nm.Graph(
        1e-3,
        (nm.Input("input", 2), nm.ALIF.of("a", 2, decay_v=0.9, v_th=1, decay_a=0.99, kappa=0.1)),
        (nm.Projection.from_dense("input", "a", np.eye(2)),),
    )
    nm.save(tmp_path / "alif.h5", graph)
    refused = call("nir", tmp_path / "alif.h5")
    assert refused.returncode == 2
    assert "population 'a' adapts" in refused.stderr
    lossy = call("nir", tmp_path / "alif.h5", "--lossy")
    assert lossy.returncode == 0
    assert "left out: population 'a' resets by subtraction" in lossy.stderr
