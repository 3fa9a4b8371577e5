"""Plastic graphs on the command line: looked at, quantised, run with third factors."""

import json
from dataclasses import replace as replace_fields
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neuromorph.backends.lava.learning_rule import compile_rule
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.cli.app import app
from neuromorph.graph import LIF, Graph, load, save
from neuromorph.graph.populations import replace
from neuromorph.recording import load_recording
from neuromorph.spikes import Spikes, save_spikes
from tests.backends.test_lava_stock_rule import RULE, one
from tests.strategies import plastic_graph, random_inputs, third_factors

runner = CliRunner()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Graph, Spikes, dict]:
    rng = np.random.default_rng(3)
    graph = plastic_graph(rng, rule="retroactive", modulator=False, max_neurons=6)
    shifted = [replace(p, v_reset=np.zeros(p.n)) if isinstance(p, LIF) else p for p in graph.populations]
    graph = graph.replace(populations=tuple(shifted))
    inputs, third = random_inputs(rng, graph, 3, 20), third_factors(rng, graph, 3, 20)
    save(tmp_path / "m.h5", graph)
    save_spikes(tmp_path / "x.h5", {graph.inputs[0].name: inputs})
    np.savez(tmp_path / "third.npz", **third)
    return tmp_path, graph, inputs, third


def call(*args: object, code: int = 0) -> str:
    done = runner.invoke(app, [str(a) for a in args])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_inspect_tells_the_rules(files: tuple) -> None:
    folder, graph, *_ = files
    told = json.loads(call("inspect", folder / "m.h5", "--json"))["plasticity"]
    assert [r["name"] for r in told] == [q.name for q in graph.plastic]
    assert told[0]["rule"] == "retroactive"
    assert told[0]["eta"] == graph.plastic[0].plasticity.eta
    assert "retroactive" in call("inspect", folder / "m.h5")


def test_quantize_tells_scales_of_learning(files: tuple) -> None:
    folder, graph, *_ = files
    args = ("quantize", folder / "m.h5", "-o", folder / "i.h5", "--rounding", "nearest")
    told = json.loads(call(*args, "--json"))["plastic"]
    assert [r["name"] for r in told] == [q.name for q in graph.plastic]
    assert {q.plasticity.fixed.rounding for q in load(folder / "i.h5").plastic} == {"nearest"}
    assert "Plasticity in integers" in call(*args)
    refused = runner.invoke(app, ["quantize", str(folder / "m.h5"), "--rounding", "up"])
    assert "allowed: nearest, stochastic" in str(refused.exception)


def test_run_with_third_factors(files: tuple) -> None:
    folder, graph, inputs, third = files
    call("run", folder / "m.h5", folder / "x.h5", "--backend", "reference", "--third-factors", folder / "third.npz", "-o", folder / "r.h5")
    found, wanted = load_recording(folder / "r.h5"), ReferenceBackend().run(graph, inputs, third_factors=third)
    assert all(np.array_equal(found.spikes[name].to_dense(), s.to_dense()) for name, s in wanted.spikes.items())
    missing = runner.invoke(app, ["run", str(folder / "m.h5"), str(folder / "x.h5"), "--backend", "reference"])
    assert "ask for" in str(missing.exception)
    (folder / "bad.npz").write_bytes(b"nothing")
    bad = runner.invoke(app, ["run", str(folder / "m.h5"), str(folder / "x.h5"), "--third-factors", str(folder / "bad.npz")])
    assert "numpy.savez" in str(bad.exception)


def test_plastic_graphs_run_whole(files: tuple) -> None:
    folder, *_ = files
    refused = runner.invoke(app, ["run", str(folder / "m.h5"), str(folder / "x.h5"), "--shards", str(folder / "s")])
    assert "run it whole" in str(refused.exception)


def test_loihi_rules_are_printed_or_refused_with_the_reason(tmp_path: Path) -> None:
    """Shared alpha has strings, an alpha for every synapse none."""
    shared = one(RULE)
    save(tmp_path / "shared.h5", shared)
    shown = call("lava", "rules", tmp_path / "shared.h5")
    assert str(compile_rule(shared, shared.plastic[0])).splitlines()[0] in shown
    own = replace_fields(RULE, alpha=np.array([100, 120, 140, 160]))
    save(tmp_path / "own.h5", one(own))
    told = json.loads(call("lava", "rules", tmp_path / "own.h5", "--json", code=1))["rules"]["in->n"]
    assert told["rule"] is None
    assert "alpha" in told["refused"]


def test_quantize_for_loihis_own_rules(tmp_path: Path) -> None:
    """An alpha a synapse becomes a few, eligibilities are bounded by samples, and `lava rules` prints every rule."""
    from tests.test_share_alpha import REWARDS, network, spikes

    save(tmp_path / "m.h5", network(np.random.default_rng(3).normal(0, 1, 40)))
    save_spikes(tmp_path / "x.h5", {"i": spikes()})
    np.savez(tmp_path / "third.npz", **REWARDS)
    samples = ("--eligibility", tmp_path / "x.h5", "--third-factors", tmp_path / "third.npz")
    args = ("quantize", tmp_path / "m.h5", "-o", tmp_path / "i.h5", "--share-alpha", 2, *samples)
    (told,) = json.loads(call(*args, "--json"))["shared_alpha"]
    assert told["name"] == "i->n"
    assert len(told["alphas"]) == 4
    assert "Shared alphas" in call(*args)
    assert len(json.loads(call("lava", "rules", tmp_path / "i.h5", "--json"))["rules"]) == 4


def test_calibration_takes_third_factors(tmp_path: Path) -> None:
    from tests.test_share_alpha import REWARDS, network, spikes

    save(tmp_path / "m.h5", network(np.random.default_rng(3).normal(0, 1, 40)))
    save_spikes(tmp_path / "x.h5", {"i": spikes()})
    np.savez(tmp_path / "third.npz", **REWARDS)
    args = ("quantize", tmp_path / "m.h5", "-o", tmp_path / "i.h5", "--calibrate", tmp_path / "x.h5")
    told = json.loads(call(*args, "--third-factors", tmp_path / "third.npz", "--json"))["calibration"]
    assert told["mismatch"]["spikes"] <= told["plain"]["spikes"] + told["plain"]["readout"]
    assert "reward" in str(runner.invoke(app, [str(a) for a in args]).exception)  # without its signals
