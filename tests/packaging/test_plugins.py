"""Another package adds a simulator, profiles and a task by entry points; one that is broken is told and harms nobody."""

import json
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends import backend, backends
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import PluginError, TrainingError
from neuromorph.graph import save
from neuromorph.plugins import BACKENDS, PluginWarning, plugin
from neuromorph.spikes import save_spikes
from neuromorph.tasks.choose import load_task
from neuromorph.train.config import TaskConfig
from neuromorph.train.loop import saved_config
from tests.packaging.third_party import TASK, install, install_tiny, neuromorph
from tests.strategies import random_graph, random_inputs

TINY_RUN = (
    *("--set", "task.name=left_right", "--set", "task.encoding.n_channels=3", "--epochs", "1"),
    *("--set", "network.n_excitatory=6", "--set", "network.n_inhibitory=2", "--set", "network.n_adaptive=4"),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("tiny")
    install_tiny(site)
    return site


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m.h5, s.h5: an integer graph and its input."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(3)
    graph = random_graph(rng, precision="integer", max_neurons=8)
    save(folder / "m.h5", graph)
    save_spikes(folder / "s.h5", {"in": random_inputs(rng, graph, 2, 20)})
    return folder


def told(site: Path, *args: object) -> dict:
    done = neuromorph(site, *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_backend_runs_and_is_validated(tiny: Path, files: Path) -> None:
    here = told(tiny, "run", files / "m.h5", files / "s.h5", "--backend", "tiny")
    assert here["spikes"] == told(tiny, "run", files / "m.h5", files / "s.h5", "--backend", "reference")["spikes"]
    (pair,) = told(tiny, "validate", files / "m.h5", files / "s.h5", "--backend", "tiny")["comparisons"]
    assert (pair["backend"], pair["against"], pair["verdict"]) == ("tiny", "reference", "identical")


def test_its_profile_is_one_of_all(tiny: Path, files: Path) -> None:
    listed = {p["id"]: p["origin"] for p in told(tiny, "profiles", "list")["profiles"]}
    assert listed["tinychip"] == str(tiny / "acme" / "chips" / "tinychip.toml")
    assert listed["loihi1"] == "shipped"
    assert told(tiny, "profiles", "show", "tinychip")["id"] == "tinychip"
    assert json.loads(neuromorph(tiny, "check", files / "m.h5", "--profile", "tinychip", "--json").stdout)["profile"] == "tinychip"


def test_its_task_is_trained(tiny: Path, tmp_path: Path) -> None:
    assert told(tiny, "train", *TINY_RUN, "-o", tmp_path / "run")["best_update"] == 1
    with pytest.raises(TrainingError, match=r"'task\.name' is 'left_right'; allowed: digits, sequential_mnist"):
        load_task(saved_config(tmp_path / "run").task)


def test_doctor_lists_what_it_adds(tiny: Path) -> None:
    found = told(tiny, "doctor", "--quick")
    assert {(p["group"], p["name"], p["package"], p["fault"]) for p in found["plugins"]} == {
        ("neuromorph.backends", "tiny", "acme", None),
        ("neuromorph.profiles", "acme", "acme", None),
        ("neuromorph.tasks", "left_right", "acme", None),
    }
    assert {"from": "plug-in of acme", "folder": str(tiny / "acme" / "chips"), "profiles": 1}.items() <= found["profiles"][1].items()


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside the tiny package: one whose every plug-in is broken or has a name that is taken, and one that takes a name of it."""
    site = tmp_path_factory.mktemp("broken")
    install_tiny(site)
    points = """
        [neuromorph.backends]
        absent = wreck.nowhere:Backend
        empty = wreck:Empty
        raising = wreck:raising
        reference = wreck:Empty
        twice = wreck:Empty
        [neuromorph.profiles]
        absent = wreck.no_chips
        text = wreck:text
        taken = wreck.chips
        [neuromorph.tasks]
        none = wreck
        wrong = wreck.wrong
        """
    code = "text = 3\nclass Empty: pass\ndef raising(): raise KeyError('x')\n"
    wrong = TASK.replace('return Dataset("left_right", 2,', "return dict(")
    install(site, "wreck", {"__init__.py": code, "chips/loihi1.toml": "", "wrong.py": wrong}, points)
    install(site, "other", {"__init__.py": "class B: pass"}, "[neuromorph.backends]\ntwice = other:B\n")
    return site


def test_broken_plugins_are_told_and_left_out(broken: Path, files: Path) -> None:
    done = neuromorph(broken, "profiles", "list", "--json")
    assert done.returncode == 0
    assert {"loihi1", "tinychip"} <= {p["id"] for p in json.loads(done.stdout)["profiles"]}
    assert "left out: Plug-in 'absent' of wreck 1.0 (entry point neuromorph.profiles: wreck.no_chips) cannot be loaded" in done.stderr
    assert "Plug-in 'text' of wreck 1.0 (entry point neuromorph.profiles: wreck:text) is int, not a package, module or path" in done.stderr
    assert "profile 'loihi1' is left out, because there is" in done.stderr
    assert "pip uninstall wreck" in done.stderr
    assert told(broken, "run", files / "m.h5", files / "s.h5", "--backend", "tiny")["backend"] == "tiny"


def test_broken_simulators_are_told_and_left_out(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(broken))
    with pytest.warns(PluginWarning) as seen:
        usable = backends()
    assert set(usable) == {"brian2", "fast", "lava", "reference", "tiny"}
    assert type(usable["reference"]) is ReferenceBackend
    for words in (
        "'reference' is declared by neuromorph 0.1.0, wreck 1.0; neuromorph's own is used",
        "'twice' is declared by other 1.0, wreck 1.0; none is used",
        "Plug-in 'absent' of wreck 1.0 (entry point neuromorph.backends: wreck.nowhere:Backend) cannot be loaded: ModuleNotFoundError",
        "Plug-in 'empty' of wreck 1.0 (entry point neuromorph.backends: wreck:Empty) is no backend, it lacks name, capabilities, available",
        "Plug-in 'raising' of wreck 1.0 (entry point neuromorph.backends: wreck:raising) cannot be made: KeyError",
    ):
        assert any(words in str(each.message) for each in seen)
    with pytest.raises(PluginError, match=r"declared by other 1\.0, wreck 1\.0"):
        backend("twice")
    assert plugin(BACKENDS, "nothing") is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("run", "{m}", "{s}", "--backend", "empty"), "is no backend"),
        (("run", "{m}", "{s}", "--backend", "twice"), "'twice' is declared by other 1.0, wreck 1.0"),
    ],
)
def test_one_that_is_asked_for_is_refused_with_its_package(broken: Path, files: Path, args: tuple[str, ...], words: str) -> None:
    done = neuromorph(broken, *(a.format(m=files / "m.h5", s=files / "s.h5") for a in args))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", r"\(entry point neuromorph.tasks: wreck\) is no task: it lacks a dataclass Encoding"),
        ("wrong", r"\(entry point neuromorph.tasks: wreck.wrong\) loads dict, not a neuromorph.dataset.Dataset"),
    ],
)
def test_a_task_that_is_none_is_refused_with_its_package(broken: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.syspath_prepend(str(broken))
    with pytest.raises(PluginError, match=words):
        load_task(TaskConfig(name))


def test_doctor_tells_every_fault_and_who_mends_it(broken: Path) -> None:
    found = told(broken, "doctor", "--quick")
    faults = {(p["group"].removeprefix("neuromorph."), p["name"], p["package"]) for p in found["plugins"] if p["fault"]}
    wreck = {"backends": ("absent", "empty", "raising", "reference", "twice"), "profiles": ("absent", "text")}
    assert {(group, name, "wreck") for group, names in wreck.items() for name in names} <= faults
    assert ("backends", "tiny", "acme") not in faults
    assert "pip uninstall wreck" in found["mend"]
