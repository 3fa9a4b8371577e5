"""The smoke size of every benchmark runs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import agreement, cue_reward, deployed, qat_digits
from benchmarks.digits_seeds import Args, main
from tests.backends.test_lava import lava
from tests.data.files import need_mnist

ROOT = Path(__file__).parent.parent


def test_digits_seeds(tmp_path: Path) -> None:
    out = tmp_path / "runs.json"
    runs = main(Args(seeds=1, epochs=1, out=out))
    assert [sorted(run["accuracy"]) for run in runs] == [["float", "loihi2"], ["float", "loihi1", "loihi2"]]
    assert main(Args(seeds=1, epochs=1, out=out)) == runs, "a second call finds everything done"


def test_qat_digits(tmp_path: Path) -> None:
    runs = qat_digits.main(qat_digits.Args(seeds=1, epochs=1, samples=4, out=tmp_path / "q.json", graphs=tmp_path))
    assert len(runs) == 6


def test_training_speed(tmp_path: Path) -> None:
    """In a process of its own, because it binds itself to one processor."""
    out = tmp_path / "speed.json"
    command = [sys.executable, "-m", "benchmarks.training_speed", "--smoke", "--rounds", "1", "--out", str(out)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    found = json.loads(out.read_text())
    assert found["speed"]["tiny"]["ratio"]["norse"]["median"] > 0


def test_large_networks(tmp_path: Path) -> None:
    out = tmp_path / "large.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.large_networks", "--smoke", "--out", str(out)], check=True, cwd=ROOT, capture_output=True
    )
    assert json.loads(out.read_text())


def test_simulation_speed(tmp_path: Path) -> None:
    out = tmp_path / "simulation.json"
    command = [sys.executable, "-m", "benchmarks.simulation_speed", "--smoke", "--rounds", "1", "--out", str(out)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    assert json.loads(out.read_text())["speed"]["N=20 integer"]["ratio"]["brian2"]["median"] > 0


def test_agreement(tmp_path: Path) -> None:
    args = agreement.Args(
        graphs=1, backends=("reference", "fast", "brian2"), partial=tmp_path / "partial.json", out=tmp_path / "agreement.json"
    )
    found = agreement.main(args)
    assert found["different"] == []
    assert {row["kind"] for row in found["summary"]} == {"graph integer", "graph float", "lsnn float"}
    assert agreement.main(args)["summary"] == found["summary"], "a second call finds everything done"


def test_chip_scale(tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    subprocess.run([sys.executable, "-m", "benchmarks.chip_scale", "--smoke", "--out", str(out)], check=True, cwd=ROOT, capture_output=True)
    found = json.loads(out.read_text())
    row, recorded = found["scale"][0], found["recorded"]
    assert row["cores"] == 1
    assert list(row["cpu_s"]) == ["quantise", "check", "messages", "placement", "energy", "all"]
    assert row["cpu_s"]["all"] == pytest.approx(row["ns_per_synapse"]["all"] * row["synapses"] / 1e9)
    assert recorded["rates_hz"]["adaptive"] > 0
    assert recorded["messages"] > 0
    assert len(found["placement"]) == 3
    assert 1 <= found["optimum"]["mean"] <= found["optimum"]["worst"] < 1.1


def test_plastic_speed(tmp_path: Path) -> None:
    out = tmp_path / "plastic.json"
    command = [sys.executable, "-m", "benchmarks.plastic_speed", "--smoke", "--rounds", "1", "--out", str(out)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    assert all(case["ratio"]["median"] > 0 for case in json.loads(out.read_text())["cases"].values())


def test_cue_reward(tmp_path: Path) -> None:
    args = cue_reward.smoke(tmp_path)
    runs = cue_reward.main(args)
    assert [run["rule"] for run in runs] == list(cue_reward.RULES)
    assert all(len(run["test"]["on"]) == 15 for run in runs)
    assert cue_reward.main(args) == runs, "a second call finds everything done"
    assert args.out.with_suffix(".png").exists()


def test_mnist_on_chips(tmp_path: Path) -> None:
    """The trained networks that lie beside the benchmark, on real digits where they can be had."""
    need_mnist()
    out = tmp_path / "chips.json"
    command = [sys.executable, "-m", "benchmarks.mnist_on_chips", "--smoke", "--out", str(out)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    found = json.loads(out.read_text())["networks"]
    for form, own, other in (("threshold", "loihi2_estimate", "loihi1"), ("current", "loihi1", "loihi2_estimate")):
        rows = {row["profile"]: row for row in found[form]["chips"]}
        assert rows[own]["fits"]
        assert rows[other]["fits"] == (form == "current")
        assert rows[own]["free_running"]["seconds"]["nominal"] < 0.84 < 1.001 * rows[own]["real_time"]["seconds"]["nominal"]
        assert {name for name, row in rows.items() if row["refused"]} >= {"akida_akd1000", "speck", "innatera_t1", "gpu_cpu_reference"}
        assert rows["loihi1"]["real_time"]["what_if"] == (form == "threshold")


@lava
def test_deployed(tmp_path: Path) -> None:
    """The MNIST network through the chain: all simulators agree; a second call keeps what was there."""
    need_mnist()
    args = replace(deployed.smoke(tmp_path), only=("sequential_mnist",))
    (row,) = deployed.main(args).values()
    assert row["simulators"]["agree"]
    assert row["lava"]["identical"]
    assert row["synapses"] == 8184
    assert 0 < row["energy"]["loihi1"]["scopes"]["dynamic"]["lo"] < row["energy"]["loihi1"]["total"]["hi"]
    assert set(json.loads(args.out.read_text())["networks"]) == {"sequential_mnist"}
