"""The wheel in clean environments: the core and every extra, on every Python that is supported and found on the machine.

Each row installs one extra into an environment of its own, measures it, and uses what the extra promises: `python -m
benchmarks.install_matrix` writes benchmarks/results/install_matrix.json. Rows that are done are kept, so that a run that was stopped
goes on; each environment is removed after its row. Needs uv and a package index. `all` with torch takes 6 GB of disk for a while.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from neuromorph.cli.health import probe
from neuromorph.files import atomic_write
from neuromorph.graph import save
from neuromorph.spikes import save_spikes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "install_matrix.json"

CORE = """
import sys, neuromorph as nm
assert not {"torch", "numpy"} & set(sys.modules)
from neuromorph.cli.health import REFERENCE
graph, spikes = nm.load("m.h5"), nm.load_spikes("s.h5")
recording = nm.backend("reference").run(graph, spikes)
assert len(recording.spikes["hidden"]) == REFERENCE["spikes"]
print(nm.estimate(nm.count(graph, spikes, recording), graph, nm.load_profile("loihi2")))
"""
FLOATS = """
import numpy as np, neuromorph as nm
from neuromorph.graph import LI, LIF, Graph, Input, Projection
parts = Input("in", 3), LIF.of("hidden", 4, decay_v=0.9, v_th=1.0), LI.of("out", 2, decay_v=0.9)
weights = {("in", "hidden"): np.ones((3, 4)), ("hidden", "out"): np.ones((4, 2))}
graph = Graph(1e-3, parts, tuple(Projection.from_dense(*ends, w) for ends, w in weights.items()))
"""
AGREES = """
import neuromorph as nm
found = nm.validate(nm.load("m.h5"), nm.load_spikes("s.h5"), ["reference", "{}"])
assert found.agrees and len(found.comparisons) == 1, found
"""
TRAIN = """
from pathlib import Path
import neuromorph as nm
from neuromorph.tasks import digits
from neuromorph.train import TrainConfig, train
config = TrainConfig.of(training={{"epochs": 1, "tensorboard": {}}}, network={{"n_excitatory": 6, "n_inhibitory": 2, "n_adaptive": 4}})
graph = train(config, digits.load(), folder=Path("run")).graph()
nm.save("trained.h5", graph)
assert graph.n_neurons > 12
"""
PROBES = {
    "core": CORE,
    "fast": AGREES.format("fast"),
    "map": """
import neuromorph as nm
from neuromorph.mapping import map_to_chip
placed, traffic = map_to_chip(nm.load("m.h5"), nm.load_profile("loihi2"), None, seed=0)
assert placed.partition.n_cores == 1
""",
    "train": TRAIN.format("False"),
    "brian2": AGREES.format("brian2"),
    "report": FLOATS
    + """
from neuromorph.agreement import validate
from neuromorph.quantize import quantize
from neuromorph.report import write_validation
from neuromorph.spikes import Spikes
integers, _ = quantize(graph, nm.load_profile("loihi2"))
inputs = Spikes.from_dense(np.random.default_rng(0).random((20, 2, 3)) < 0.3, 1e-3)
write_validation("page.html", validate([graph, integers], inputs, ["reference"]), model="m.h5")
assert "reference" in open("page.html").read()
""",
    "nir": FLOATS
    + """
import nir
from neuromorph.nir import load_nir, write_nir
write_nir("g.nir", graph, lossy=True)
assert nir.read("g.nir").nodes
assert load_nir("g.nir").graph.n_neurons == graph.n_neurons
""",
    "recordings": """
import neuromorph as nm
recording = nm.backend("reference").run(nm.load("m.h5"), nm.load_spikes("s.h5"))
n = len(recording.spikes["hidden"])
assert len(recording.to_pandas().spikes) == n
assert recording.to_xarray().sizes["sample"] == 2
assert len(recording.to_neo().segments) == 2
""",
    "distributed": """
import neuromorph as nm
from neuromorph.shards import dask, run_shards
if __name__ == "__main__":
    graph, spikes = nm.load("m.h5"), nm.load_spikes("s.h5")
    found = run_shards(graph, spikes, "reference", folder="shards", size=1, executor=dask(workers=1))
    whole = nm.backend("reference").run(graph, spikes)
    assert not found.failed and found.join().spikes["hidden"] == whole.spikes["hidden"]
""",
    "tensorboard": TRAIN.format("True") + "\nassert list(Path('run/tensorboard').iterdir())\n",
    "tasks": """
import gymnasium
from neuromorph.tasks.maze_gym import MazeEnv
env = MazeEnv()
state, _ = env.reset(seed=0)
env.step(env.action_space.sample())
""",
    "all": TRAIN.format("False") + AGREES.format("fast") + AGREES.format("brian2"),
}
"""What each extra must be able to do, beside m.h5 and s.h5."""


@dataclass(frozen=True)
class Args:
    """`keep`: do not remove environments. `folder`: where they are made (default: a temporary one).

    `pip`: also what pip makes of the core.
    """

    pythons: tuple[str, ...] = ("3.11", "3.12", "3.13")
    extras: tuple[str, ...] = tuple(PROBES)
    folder: str = ""
    keep: bool = False
    pip: bool = True
    out: Path = RESULTS


def uv() -> str:
    ours = ROOT / ".uv" / "bin" / "uv"
    return str(ours) if ours.exists() else "uv"


def quietly(*command: object, cwd: Path | None = None) -> str:
    """Standard output of a program that succeeds; of one that fails, the last lines."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, cwd=cwd)
    if done.returncode:
        raise RuntimeError(f"{command[:4]}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


def find_python(version: str) -> str | None:
    """An interpreter of that version on this machine."""
    try:
        return quietly(uv(), "python", "find", "--no-python-downloads", "--no-project", "--system", version).strip()
    except RuntimeError:
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        return str(kept[-1]) if kept else None


def sizes(site: Path) -> dict[str, float]:
    """Megabytes installed, without bytecode, which pip writes at once and Python as it goes."""
    files = (p for p in site.rglob("*") if p.is_file() and not p.is_symlink() and "__pycache__" not in p.parts)
    return {"installed_mb": round(sum(p.stat().st_size for p in files) / 1e6, 1)}


def row(wheel: Path, python: str, extra: str, folder: Path) -> dict[str, Any]:
    """Install, measure, use. A failure is a result, too. (In a folder of its own: uv would heed a checkout's settings.)"""
    venv = folder / "venv"
    wanted = f"neuromorph @ file://{wheel}" if extra == "core" else f"neuromorph[{extra}] @ file://{wheel}"
    began = time.perf_counter()
    found: dict[str, Any] = {"python": python, "extra": extra}
    try:
        quietly(uv(), "venv", "--quiet", "--python", python, venv)
        quietly(uv(), "pip", "install", "--quiet", "--python", venv / "bin" / "python", wanted, cwd=folder)
        found["install_s"] = round(time.perf_counter() - began, 1)
        (site,) = venv.glob("lib/python*/site-packages")
        found |= {"version": quietly(venv / "bin" / "python", "-c", "import platform; print(platform.python_version())").strip()}
        found |= sizes(site)
        (folder / "probe.py").write_text(PROBES[extra])
        began = time.perf_counter()
        quietly(venv / "bin" / "python", "probe.py", cwd=folder)
        found["probe_s"] = round(time.perf_counter() - began, 1)
        health = json.loads(quietly(venv / "bin" / "neuromorph", "doctor", "--quick", "--json", cwd=folder))
        found["doctor"] = {
            "extras": [e["extra"] for e in health["extras"] if e["installed"]],
            "simulators": [b["backend"] for b in health["backends"] if b["available"]],
        }
        wrong = extra not in ("core", "all") and extra not in found["doctor"]["extras"]
        found["works"], found["fault"] = not wrong, "doctor does not see the extra" if wrong else None
    except RuntimeError as error:
        found["works"], found["fault"] = False, str(error).replace(str(folder), "")
    return found


def with_bytecode(wheel: Path, python: str, folder: Path) -> float:
    """Megabytes of the core as pip leaves it, bytecode included, pip itself not."""
    quietly(python, "-m", "venv", folder / "pip")
    quietly(folder / "pip" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    (site,) = (folder / "pip").glob("lib/python*/site-packages")
    files = (p for p in site.rglob("*") if p.is_file() and p.relative_to(site).parts[0].split("-")[0] not in ("pip", "setuptools"))
    return round(sum(p.stat().st_size for p in files) / 1e6, 1)


def main(args: Args) -> dict[str, Any]:
    """Rows that are missing."""
    found: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {"rows": [], "pip_core_mb": {}}
    with tempfile.TemporaryDirectory(dir=args.folder or None) as scratch:
        folder = Path(scratch)
        quietly(uv(), "build", "--quiet", "--out-dir", folder / "dist", ROOT)
        (wheel,) = (folder / "dist").glob("*.whl")
        for version in args.pythons:
            python = find_python(version)
            for extra in args.extras:
                if any((r["wanted"], r["extra"], r["works"]) == (version, extra, True) for r in found["rows"]):
                    continue
                here = folder / f"{version}-{extra}"
                here.mkdir()
                graph, spikes = probe()
                save(here / "m.h5", graph)
                save_spikes(here / "s.h5", {"input": spikes})
                fresh = row(wheel, python, extra, here) if python else {"extra": extra, "works": False, "fault": "no such Python here"}
                if args.pip and python and extra == "core":
                    found["pip_core_mb"][version] = with_bytecode(wheel, python, here)
                found["rows"] = [r for r in found["rows"] if (r["wanted"], r["extra"]) != (version, extra)]
                found["rows"].append({"wanted": version, **{k: v for k, v in fresh.items() if k != "python"}})
                print(found["rows"][-1], flush=True)
                write(args, found)
                if not args.keep:
                    shutil.rmtree(here)
    return found


def write(args: Args, found: dict[str, Any]) -> None:
    about = {name: value for name, value in asdict(args).items() if name not in ("out", "folder", "keep")}
    result = {"args": about, **found, "works": all(r["works"] for r in found["rows"]), "machine": machine()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(args.out, (json.dumps(result, indent=1) + "\n").encode())


def parsed(arguments: Sequence[str] | None = None) -> Args:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="the core on this Python alone, to a temporary folder")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folder", default="")
    parser.add_argument("--extras", nargs="+", choices=tuple(PROBES), default=tuple(PROBES))
    given = parser.parse_args(arguments)
    if given.smoke:
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        out = given.out or Path(tempfile.mkdtemp()) / "matrix.json"
        return Args(pythons=(here,), extras=("core",), pip=False, out=out)
    return Args(extras=tuple(given.extras), folder=given.folder, out=given.out or RESULTS)


if __name__ == "__main__":
    sys.exit(0 if all(r["works"] for r in main(parsed())["rows"]) else 1)
